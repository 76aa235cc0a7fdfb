"""What the project says of itself in several places is the same in all of them."""

import re
import tomllib
from pathlib import Path

import nbp_async

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_versions_of_python_that_are_promised_are_those_that_are_tested() -> None:
    promised = [
        version
        for classifier in PROJECT["classifiers"]
        if (version := classifier.rpartition("Python :: ")[2]).startswith("3.")
    ]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    assert promised == re.findall(r"[\d.]+", matrix)
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_the_version_is_the_same_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    (newest, *_) = re.findall(r"^## (\S+?),? ", changelog, re.MULTILINE)
    assert PROJECT["version"] == nbp_async.__version__ == newest


def test_each_hook_before_a_commit_runs_a_tool_of_the_environment() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"^ +entry: (\S+)", hooks, re.MULTILINE)
    assert entries
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    assert "repo: local" in hooks
    assert "http" not in hooks
