"""The group of commands, and what `nbp` says when it is called without one."""

import sys

import click
import pytest
from click.testing import CliRunner

import nbp_async
from nbp_async import __main__ as entry
from nbp_async.cli.app import app

COMMANDS = [
    "demo",
    "gen",
    "many",
    "show",
    "batch",
    "export",
    "auth",
    "doctor",
    "prices",
    "fake",
    "completion",
    "help",
]


def test_without_a_command_it_says_what_it_is_and_gives_examples() -> None:
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 0
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  nbp ")] == [
        "demo",
        "gen",
        "many",
        "show",
    ]


def test_help_lists_every_command_and_the_exit_codes() -> None:
    done = CliRunner().invoke(app, ["--help"])
    assert done.exit_code == 0
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert [word for word in listed if word in COMMANDS] == COMMANDS
    assert "130 stopped" in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_exists_and_explains_itself(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_no_command_takes_a_key_from_its_arguments() -> None:
    """A key on a command line is in the shell's history, and everybody's `ps`."""
    for name in ("demo", "gen", "many", "show", "export", "prices"):
        command = app.get_command(click.Context(app), name)
        assert command is not None
        assert not [p for p in command.params if p.name and "key" in p.name]


def test_the_version_is_the_package_s() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.split()[-1] == nbp_async.__version__


def test_an_unknown_command_is_misuse() -> None:
    assert CliRunner().invoke(app, ["gne"]).exit_code == 2


def test_prices_come_with_their_date_and_source() -> None:
    done = CliRunner().invoke(app, ["prices"], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    for words in ("google", "$0.134", "$0.24", "2026-08-16", "ai.google.dev", "apiyi", "$0.09"):
        assert words in done.stdout


def test_without_what_it_needs_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry, "find_spec", lambda name: None if name == "rich" else sys)
    with pytest.raises(SystemExit) as end:
        entry.main()
    assert end.value.code == 2
    assert "The command line needs rich" in (said := capsys.readouterr().err)
    assert 'pip install "nbp-async[cli]"' in said


@pytest.mark.parametrize("words", [["--help"], ["batch", "--help"], ["auth", "--help"]])
def test_no_line_of_a_list_of_commands_is_cut(words: list[str]) -> None:
    listed = CliRunner().invoke(app, words, terminal_width=80).stdout
    assert "..." not in listed.replace("[ARGS]...", "")
