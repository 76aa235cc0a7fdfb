"""`nbp help TOPIC`: the longer texts, one file each, in a terminal."""

from importlib.resources import files

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.theme import Theme

from nbp_async._near import meant
from nbp_async.cli import codes

_FOLDER = files("nbp_async.cli") / "topics"
_WIDEST = 100
# rich's own code is black behind, on a light terminal too, and its headings are of two colours.
_PLAIN = Theme({"markdown.code": "bold", "markdown.table.header": "none"})
_LINE = "  {name:<{wide}}  {says}"


def topics() -> dict[str, str]:
    """Every topic with its text, by name."""
    found = {
        entry.name.removesuffix(".md"): entry.read_text("utf-8")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".md")
    }
    return dict(sorted(found.items()))


@click.command()
@click.argument("topic", required=False)
def help(topic: str | None) -> None:  # noqa: A001  the command's name
    """Explain TOPIC; without one, list the topics."""
    known = topics()
    if topic is None:
        wide = max(map(len, known))
        click.echo("nbp help TOPIC explains:\n")
        for name, text in known.items():
            says = text.splitlines()[0].partition(": ")[2]
            click.echo(_LINE.format(name=name, wide=wide, says=says))
        click.echo("\nOptions of a command: nbp COMMAND --help")
        return
    if topic not in known:
        raise codes.Misuse(f"No topic {topic!r}: {meant(topic, known)}nbp help lists them.")
    console = Console(highlight=False, theme=_PLAIN)
    if console.is_terminal:
        width = min(_WIDEST, console.width)
        console.print(Markdown(known[topic], code_theme="ansi_dark"), width=width)
    else:
        click.echo(known[topic], nl=False)
