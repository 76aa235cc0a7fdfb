"""Environments with the vendors' SDKs and other clients, made once and kept in `.venv-clients`."""

import fcntl
import hashlib
import json
import os
import subprocess
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
            venv.create(home, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            _install([*pip, "--retries=0", *packages], home)
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


def run_calls(
    python: Path, script: str, *args: str, env: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What came of each call of a script in `sdk_calls`, by the call's name."""
    command = [str(python), "-m", f"tests.loopback.fake.sdk_calls.{script}", *args]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())
