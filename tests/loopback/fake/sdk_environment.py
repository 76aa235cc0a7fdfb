"""Environments with the vendors' SDKs and other clients, made once and kept in `.venv-clients`."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLACE = ROOT / ".venv-clients"
CALLS = Path(__file__).with_name("sdk_calls")
PINS = tomllib.loads((CALLS / "clients.toml").read_text())


def client_python(group: str) -> Path:
    """The interpreter of an environment with a group of clients.

    Skips the test where they cannot be installed: without a package registry.
    """
    packages: list[str] = PINS["python"][group]
    with _environment(group, repr(packages)) as (home, ready):
        python = home / "bin" / "python"
        if not ready:
            venv.create(home, with_pip=False, clear=True)  # ours installs, and makes no .pyc files
            pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
            options = ["--disable-pip-version-check", "--retries=0", "--no-compile"]
            _install([*pip, *options, *packages], home)
    return python


@contextmanager
def _environment(group: str, pins: str) -> Iterator[tuple[Path, bool]]:
    """The place of an environment, and whether it is there; inside, nobody else makes it."""
    home = PLACE / f"{group}-{hashlib.sha256(pins.encode()).hexdigest()[:8]}"
    PLACE.mkdir(exist_ok=True)
    with (PLACE / f"{group}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of pytest want the same one
        yield home, (home / "ready").exists()


def _install(command: list[str], home: Path) -> None:
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"{command[0]} said nothing"]
        pytest.skip(f"cannot install {home.name}: {reason[0]}")
    (home / "ready").touch()


def node_folder() -> Path:
    """A folder with the clients for Node.js.

    Skips the test where they cannot be installed: without Node.js 20, or a package registry.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js and npm are not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"these clients need Node.js 20, not {version.strip()}")
    packages = [f"{name}@{pin}" for name, pin in PINS["npm"].items()]
    with _environment("npm", repr(packages)) as (home, ready):
        if not ready:
            home.mkdir(exist_ok=True)
            (home / "package.json").write_text("{}")
            options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
            _install(["npm", "install", *options, *packages], home)
    return home


def run_calls(
    python: Path, script: str, *args: str, env: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What came of each call of a script in `sdk_calls`, by the call's name."""
    return _results([str(python), "-m", f"tests.loopback.fake.sdk_calls.{script}", *args], env)


def run_node(script: str, *args: str) -> dict[str, str]:
    """The same for a script that runs in Node.js, beside the packages that it imports."""
    home = node_folder()
    copied = shutil.copy(CALLS / script, home)
    return _results(["node", str(copied), *args], None)


def _results(command: list[str], env: Mapping[str, str] | None) -> dict[str, str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,  # the first run of an environment compiles what it imports
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())
