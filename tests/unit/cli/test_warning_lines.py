"""What the library logs or warns of is printed as the command line prints, each once."""

import logging
import sys
import warnings
from io import StringIO

import click
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.live import Live

from nbp_async import ConfigError
from nbp_async.cli import output
from nbp_async.cli.app import LazyGroup, app
from nbp_async.cli.output import command_console, stderr_console
from nbp_async.cli.warning_lines import warnings_printed

log = logging.getLogger("nbp_async")


@pytest.fixture
def context() -> click.Context:
    command = click.Command("many", params=[click.Option(["--max-cost"])])
    return click.Context(command, info_name="many")


def test_a_command_prints_warnings_in_its_own_style(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def gen() -> None:
        log.warning("Image %d may have been billed.", 3)
        log.info("nobody has asked for this")
        logging.getLogger("another.library").warning("the disk is slow")

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: gen)
    done = CliRunner().invoke(app, ["gen"])
    assert done.stderr.splitlines() == [
        "Warning: Image 3 may have been billed.",
        "Warning: the disk is slow",
    ]
    assert done.stdout == ""
    assert not [each for each in logging.root.handlers if "nbp_async" in type(each).__module__]


def test_each_is_printed_once(context: click.Context, capsys: pytest.CaptureFixture[str]) -> None:
    with context, warnings_printed(context):
        for image in (1, 2, 1):
            log.warning("Image %d has other pixels.", image)
    assert capsys.readouterr().err.splitlines() == [
        "Warning: Image 1 has other pixels.",
        "Warning: Image 2 has other pixels.",
    ]


def test_errors_name_options_as_they_are_typed(
    context: click.Context, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ConfigError("too little.", option="max_cost", value="1")
    with context, warnings_printed(context):
        log.warning("%s Tried again, up to %d times.", error, 5)
    assert capsys.readouterr().err == (
        "Warning: --max-cost 1: too little. Nothing was sent. Tried again, up to 5 times.\n"
    )


def test_warnings_of_python_are_printed_without_a_place_in_the_source(
    context: click.Context, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with context, warnings_printed(context):
            warnings.warn("The key goes unencrypted.", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "Warning: The key goes unencrypted.\n"


def test_a_bug_keeps_its_traceback_and_no_text_controls_the_terminal(
    context: click.Context, capsys: pytest.CaptureFixture[str]
) -> None:
    with context, warnings_printed(context):
        try:
            int("a bug\x1b[2J")
        except ValueError:
            log.exception("A listener failed in %s", "on_outcome\x1b[2J")
    shown = capsys.readouterr().err
    assert shown.startswith("Warning: A listener failed in on_outcome [2J\nTraceback (most recent")
    assert "ValueError: invalid literal for int()" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("colours", [True, False])
def test_it_is_above_the_bar_and_coloured_on_a_terminal_alone(
    context: click.Context, colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StringIO()
    environ = {"TERM": "xterm", "COLUMNS": "60"} | ({} if colours else {"NO_COLOR": "1"})
    monkeypatch.setattr(
        output,
        "_new_console",
        lambda: Console(file=stream, force_terminal=True, width=60, _environ=environ),
    )
    with context, warnings_printed(context):
        console = stderr_console()
        assert command_console(context) is console
        with Live("the bar", console=console, auto_refresh=False) as live:
            log.warning("Image 3 may have been billed.")
            live.refresh()
    before, _, after = stream.getvalue().partition(" Image 3 may have been billed.")
    assert before.endswith("\x1b[33mWarning:\x1b[0m" if colours else "Warning:")
    assert after.lstrip().startswith("the bar")


def test_outside_of_a_command_each_console_is_new() -> None:
    assert click.get_current_context(silent=True) is None
    assert stderr_console() is not stderr_console()
    assert stderr_console().file is sys.stderr
