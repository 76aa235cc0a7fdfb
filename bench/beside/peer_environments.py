"""An environment for each client, made once from the pinned file and kept."""

import fcntl
import hashlib
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PINS: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("clients.toml").read_text())
"""What is installed for each client."""


class NotInstalledError(Exception):
    """An environment could not be made; the message is the installer's last line."""


def python_with(name: str, packages: list[str], folder: Path) -> Path:
    """The interpreter of an environment below `folder` that has these packages.

    Raises:
        NotInstalledError: They cannot be installed: without a package registry.
    """
    with kept_environment(name, packages, folder) as (home, is_ready):
        python = home / "bin" / "python"
        if not is_ready:
            venv.create(home, with_pip=False, clear=True)  # this interpreter's pip does it
            pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
            options = ["--disable-pip-version-check", "--retries=0", "--no-compile"]
            install([*pip, *options, *packages], home)
    return python


@contextmanager
def kept_environment(name: str, packages: list[str], folder: Path) -> Iterator[tuple[Path, bool]]:
    """The place of an environment, and whether it is made; inside, nobody else makes it."""
    home = folder / f"{name}-{hashlib.sha256(repr(packages).encode()).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two programs may want the same one
        yield home, (home / "ready").exists()


def install(command: list[str], home: Path) -> None:
    """Run an installer; the environment is made.

    Raises:
        NotInstalledError: It failed.
    """
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"{command[0]} said nothing"]
        raise NotInstalledError(reason[0])
    (home / "ready").touch()
