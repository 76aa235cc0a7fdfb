"""The Tab key offers what the catalog has, and files where a file may stand."""

import pytest
from click.shell_completion import ShellComplete

from nbp_async import models
from nbp_async.cli.app import app
from nbp_async.cli.help_command import topics


def offered(*words: str) -> list[str]:
    """What is offered for the last word; files are told as such."""
    complete = ShellComplete(app, {}, "nbp", "_NBP_COMPLETE")
    found = complete.get_completions(list(words[:-1]), words[-1])
    return [f"{item.type} {item.value}" if item.type != "plain" else item.value for item in found]


@pytest.mark.parametrize("command", ["many", "gen", "doctor"])
def test_endpoints_are_offered_by_name_else_files(command: str) -> None:
    assert offered(command, "--endpoint", "op") == ["openai", "openrouter"]
    assert "apiyi" in offered(command, "--endpoint", "")
    assert offered(command, "--endpoint", "./my") == ["file ./my"]


@pytest.mark.parametrize("command", ["many", "gen", "doctor"])
def test_models_are_offered_by_all_their_names(command: str) -> None:
    for model in models():
        for name in (model.name, *model.aliases):
            assert name in offered(command, "--model", name[:3])


def test_sizes_and_qualities_are_those_of_the_model() -> None:
    assert set(offered("many", "--size", "")) == {"512", "1K", "2K", "4K"}
    assert offered("many", "--model", "nano-banana", "--size", "") == ["1K"]
    assert offered("many", "--model", "gpt-image-2", "--quality", "m") == ["medium", "max"]
    assert offered("many", "--model", "gemini-3-pro-image", "--quality", "") == []
    assert "16:9" in offered("gen", "--aspect-ratio", "1")
    assert "high" in offered("gen", "--thinking", "")


def test_topics_are_offered() -> None:
    assert offered("help", "") == list(topics())
    assert offered("help", "mon") == ["money"]
