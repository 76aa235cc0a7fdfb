"""Characters that a terminal lacks, spelled with those that every terminal has."""

import codecs

HANDLER = "nbp_async.spell"  # what `errors=` of a stream calls it
_SIGNS = {
    "…": "...",
    "·": "|",
    "×": "x",
    "→": "->",
    "—": "-",
    "–": "-",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "\N{NO-BREAK SPACE}": " ",
}


def register_spelling() -> None:
    """Make the handler known to Python, for streams that people read."""
    codecs.register_error(HANDLER, _spell)


def spell(text: str, encoding: str) -> str:
    """The text as a terminal of this encoding shows it; signs are plain, letters escaped."""
    register_spelling()
    return text.encode(encoding, HANDLER).decode(encoding)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(char: str) -> str:
    return _SIGNS.get(char) or char.encode("ascii", "backslashreplace").decode("ascii")
