"""The packages as people get them: built, installed into an empty environment, and run there."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NO_REGISTRY = ("No matching distribution", "Could not find a version", "ConnectionError")


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)


@pytest.mark.slow
def test_an_installed_wheel_plays_the_demo(tmp_path: Path) -> None:
    built = run(sys.executable, ".ci/dist", tmp_path / "dist")
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    bin_ = tmp_path / "venv" / "bin"
    installed = run(
        bin_ / "python", "-m", "pip", "install", "-qq", "-c", "constraints.txt", f"{wheel}[cli]"
    )
    if any(words in installed.stderr for words in NO_REGISTRY):
        pytest.skip("no package registry is reachable, so nothing can be installed")
    assert installed.returncode == 0, installed.stderr

    demo = run(bin_ / "nbp", "demo", "--count", "12", "--speed", "2000", cwd=tmp_path)
    assert demo.returncode == 0, demo.stderr
    assert "12 of 12" in demo.stdout
    assert len(list((tmp_path / "out" / "demo").glob("*.png"))) == 12
    topics = run(bin_ / "nbp", "help", cwd=tmp_path)
    assert "runs" in topics.stdout
