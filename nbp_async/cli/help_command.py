"""`nbp help TOPIC`: the longer texts, one file each, in a terminal."""

from importlib.resources import files

import click
from click.shell_completion import CompletionItem

from nbp_async.cli import exit_codes
from nbp_async.display.formats import suggest

_FOLDER = files("nbp_async.cli") / "topics"
_WIDEST = 100
_LINE = "  {name:<{wide}}  {summary}"


def topics() -> dict[str, str]:
    """The text of every topic, by name."""
    found = {
        entry.name.removesuffix(".md"): entry.read_text("utf-8")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".md")
    }
    return dict(sorted(found.items()))


def complete_topic(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Topics of `nbp help`, each with its first line."""
    return [
        CompletionItem(name, help=text.splitlines()[0].partition(": ")[2])
        for name, text in topics().items()
        if name.startswith(incomplete)
    ]


@click.command()
@click.argument("topic", required=False, shell_complete=complete_topic)
def help(topic: str | None) -> None:  # noqa: A001  the command's name
    """Explain TOPIC; without one, list the topics."""
    known = topics()
    if topic is None:
        wide = max(map(len, known))
        click.echo("nbp help TOPIC explains:\n")
        for name, text in known.items():
            summary = text.splitlines()[0].partition(": ")[2]
            click.echo(_LINE.format(name=name, wide=wide, summary=summary))
        click.echo("\nOptions of a command: nbp COMMAND --help")
        return
    if topic not in known:
        raise exit_codes.InvalidUseError(
            f"No topic {topic!r}: {suggest(topic, known)}nbp help lists them."
        )
    _print_topic(known[topic])


def _print_topic(text: str) -> None:
    from rich.console import Console  # here: the Tab key completes topics without it
    from rich.markdown import Markdown
    from rich.theme import Theme

    # rich's own theme puts code on black, on a light terminal too, and colours headings.
    plain = Theme({"markdown.code": "bold", "markdown.table.header": "none"})
    console = Console(highlight=False, theme=plain)
    if console.is_terminal:
        width = min(_WIDEST, console.width)
        console.print(Markdown(text, code_theme="ansi_dark"), width=width)
    else:
        click.echo(text, nl=False)
