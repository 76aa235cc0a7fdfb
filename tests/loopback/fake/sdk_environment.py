"""Environments with other versions of the vendors' SDKs, made once and kept in `.venv-clients`."""

import fcntl
import json
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLACE = ROOT / ".venv-clients"
OLDER = ("openai==2.54.0", "google-genai==1.75.0")
"""The last versions of the majors before those that the developers' environment has."""


def older_python() -> Path:
    """The interpreter of an environment with the older SDKs.

    Skips the test where they cannot be installed: without a package registry.
    """
    home = PLACE / "-".join(OLDER)
    python = home / "bin" / "python"
    PLACE.mkdir(exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of pytest want the same one
        if not (home / "ready").exists():
            venv.create(home, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            done = subprocess.run([*pip, "--retries=0", *OLDER], capture_output=True, text=True)
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
                pytest.skip(f"cannot install {' and '.join(OLDER)}: {reason[0]}")
            (home / "ready").touch()
    return python


def run_calls(python: Path, script: str, url: str, key: str) -> dict[str, str]:
    """What came of each call of a script in `sdk_calls`, by the call's name."""
    command = [str(python), "-m", f"tests.loopback.fake.sdk_calls.{script}", url, key]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())
