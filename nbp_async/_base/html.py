"""Pieces of HTML for notebooks.

Prompts and vendors' messages are untrusted: all text is escaped. There is no script and no style
sheet, only styles of single elements: a notebook has many outputs on one page, and some viewers
remove the rest. Text has the page's own colour, so that it is readable on light and dark pages.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from nbp_async._base.text import printable

GREEN, RED, BLUE = "#26955a", "#d9534f", "#5b8dd6"  # 3:1 and more on white and on near black
LINE = "rgba(127,127,127,.55)"
FRAME = "max-width:56rem;margin:.25em 0;line-height:1.5;font-variant-numeric:tabular-nums"
SOFT = "opacity:.8"
_WHOLE = "white-space:nowrap"
_CARD = f"{FRAME};display:flex;flex-wrap:wrap;gap:.6em 1em;align-items:flex-start"
_WORDS = "flex:1 1 14rem;min-width:0;overflow-wrap:anywhere"
_PICTURE = f"max-width:100%;height:auto;margin:0;border:1px solid {LINE};border-radius:.25em"
_LOST = f"margin:0 0 0;padding:0 0 0 .8em;border-left:.25em solid {RED}"
_PROMPT = 600  # characters of a prompt
_LINES = 400  # characters of another line


def card(
    heading: str,
    prompt: str,
    *,
    facts: Iterable[str] = (),
    lines: Iterable[str] = (),
    link: str = "",
    picture: str | None = None,
    lost: bool = False,
) -> str:
    """A small picture beside a prompt and what came of it.

    Args:
        heading: What it is, in a few words.
        prompt: Text of the prompt.
        facts: Short texts, side by side.
        lines: Texts, each on a line of its own.
        link: HTML of a link, from `link_to`.
        picture: Address of a small picture; the prompt is its alternative text.
        lost: There is no image.
    """
    text = escape(printable(prompt, _PROMPT))
    parts = [f'<div style="{_CARD}{f";{_LOST}" if lost else ""}">']
    if picture is not None:
        words = f"{escape(heading)}: {text}"
        parts.append(f'<img src="{escape(picture)}" alt="{words}" style="{_PICTURE}">')
    parts += [
        f'<div style="{_WORDS}"><div><b>{escape(heading)}</b></div>',
        f'<div dir="auto">{text}</div>',
        f'<div style="{SOFT}">{line_of(facts)}</div>',
        *(f"<div>{escape(printable(line, _LINES))}</div>" for line in lines if line),
        f"<div>{link}</div>" if link else "",
        "</div></div>",
    ]
    return "".join(parts)


def line_of(facts: Iterable[str]) -> str:
    """Short texts side by side; none of them is wrapped."""
    return " · ".join(f'<span style="{_WHOLE}">{escape(fact)}</span>' for fact in facts)


def link_to(path: Path) -> str:
    """A link to a file; relative below the working directory, where notebooks can follow it."""
    here = Path.cwd()
    full = path.absolute()
    address = quote(full.relative_to(here).as_posix()) if full.is_relative_to(here) else ""
    shown = escape(printable(str(path)))
    return f'<a href="{address or escape(full.as_uri())}" style="color:inherit">{shown}</a>'
