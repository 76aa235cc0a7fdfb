"""Environments with the vendors' SDKs and other clients, made once and kept in `.venv-clients`."""

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.beside.peer_environments import (
    NotInstalledError,
    install,
    kept_environment,
    python_with,
)

ROOT = Path(__file__).parents[3]
PLACE = ROOT / ".venv-clients"
CALLS = Path(__file__).with_name("sdk_calls")
PINS = tomllib.loads((CALLS / "clients.toml").read_text())


def client_python(group: str) -> Path:
    """The interpreter of an environment with a group of clients.

    Skips the test where they cannot be installed: without a package registry.
    """
    try:
        return python_with(group, PINS["python"][group], PLACE)
    except NotInstalledError as exc:
        pytest.skip(f"cannot install {group}: {exc}")


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
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    with kept_environment("npm", packages, PLACE) as (home, is_ready):
        if not is_ready:
            home.mkdir(exist_ok=True)
            (home / "package.json").write_text("{}")
            try:
                install(["npm", "install", *options, *packages], home)
            except NotInstalledError as exc:
                pytest.skip(f"cannot install {home.name}: {exc}")
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
