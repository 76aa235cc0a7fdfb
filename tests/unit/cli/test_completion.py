"""The Tab key offers what commands and catalog have, and files where a file may stand.

`NBP_WRITE_MESSAGES=1 pytest tests/unit/cli/test_completion.py` writes the table of the commands.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from nbp_async import models
from nbp_async.cli.app import app
from nbp_async.cli.completion_table import FILE, FOLDER, TABLE
from nbp_async.cli.help_command import topics

PLACES = [f"nbp_async.cli.{name}" for name in ("value_completion", "help_command")]


def offered(*words: str) -> list[str]:
    """What is offered for the last word; files are told as such."""
    complete = ShellComplete(app, {}, "nbp", "_NBP_COMPLETE")
    found = complete.get_completions(list(words[:-1]), words[-1])
    return [f"{item.type} {item.value}" if item.type != "plain" else item.value for item in found]


def rows_of(path: str, command: click.Command) -> Iterator[dict[str, Any]]:
    """The lines of the table about a command."""
    yield {"of": path, "help": command.get_short_help_str(200)}
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from rows_of(f"{path} {name}", inner)
        return
    for parameter in command.params:
        yield {"of": path, **facts_of(parameter)}


def facts_of(parameter: click.Parameter) -> dict[str, Any]:
    facts: dict[str, Any] = {"argument": parameter.name}
    if parameter.nargs != 1:
        facts["nargs"] = parameter.nargs
    if isinstance(parameter, click.Option):
        names = [*parameter.opts]
        if parameter.secondary_opts:
            names = ["/".join((*names, *parameter.secondary_opts))]
        facts = {"options": names, "help": parameter.help or ""}
        facts |= {"flag": True} if parameter.is_flag else {}
        facts |= {"multiple": True} if parameter.multiple else {}
    values = values_of(parameter)
    return facts if values is None else facts | {"values": values}


def values_of(parameter: click.Parameter) -> object:
    complete = parameter._custom_shell_complete
    if complete is not None:
        return next(
            f"{module}:{name}"
            for module in PLACES
            for name, value in vars(import_module(module)).items()
            if value is complete
        )
    if isinstance(parameter.type, click.Choice):
        return list(parameter.type.choices)
    found = parameter.type.shell_complete(click.Context(app), parameter, "x")
    return next((item.type for item in found if item.type in (FILE, FOLDER)), None)


def test_the_table_is_what_the_commands_are() -> None:
    context = click.Context(app)
    text = ""
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        text += "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(name, command)
        )
    if os.environ.get("NBP_WRITE_MESSAGES"):
        TABLE.write_text(text, "utf-8")
    assert TABLE.read_text("utf-8") == text


def test_the_tab_key_imports_no_more_than_it_needs() -> None:
    """The library is a second of imports; what a shell waits for are click and a table."""
    script = (
        "import sys\n"
        "from nbp_async.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.startswith(('nbp_async.', 'asyncio', 'rich'))))"
    )
    words = {"COMP_WORDS": "nbp many --ma", "COMP_CWORD": "2", "_NBP_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | words, capture_output=True, text=True
    )
    *items, modules = done.stdout.splitlines()
    assert items == ["plain,--max-in-flight", "plain,--max-cost"], done.stderr
    known = ["__main__", "cli", "cli.app", "cli.completion_table", "display", "display.spelling"]
    assert modules == str([f"nbp_async.{name}" for name in known])


def test_commands_options_and_choices_are_offered() -> None:
    assert offered("ba") == ["batch"]
    assert set(offered("batch", "")) == {"submit", "status", "fetch", "cancel"}
    assert offered("batch", "submit", "--prompt") == ["--prompt-column"]
    assert offered("many", "--via", "") == ["held", "poll", "webhook", "batch"]
    assert offered("auth", "set", "--no") == ["--no-check"]
    assert "--trust-env" in offered("auth", "set", "--t")
    assert offered("gen", "a", "--force", "--fo") == []
    assert offered("nothing", "--a") == []


def test_files_and_folders_are_the_shell_s() -> None:
    for words in (("many", "p"), ("many", "p", "--journal", "j"), ("gen", "a", "--ref", "c")):
        assert offered(*words) == [f"file {words[-1]}"]
    assert offered("gen", "a", "--ca", "c") == ["file c"]
    assert offered("many", "p", "--out", "sh") == ["dir sh"]
    assert offered("batch", "submit", "p", "--out", "sh") == ["dir sh"]
    assert offered("demo", "--out", "sh") == ["dir sh"]


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
