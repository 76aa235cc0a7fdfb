"""Suggestions for misspelt names."""

from collections.abc import Iterable


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'size'? `, or "" if no known name is close."""
    from difflib import get_close_matches  # here: only a misspelt name needs it

    names = {each.lower(): each for each in known}
    matches = get_close_matches(name.lower(), names, n=1)
    return f"did you mean {names[matches[0]]!r}? " if matches else ""
