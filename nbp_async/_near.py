"""The name that was probably meant."""

from collections.abc import Iterable


def meant(name: str, known: Iterable[str]) -> str:
    """`did you mean 'size'? `, or nothing where no known name is near."""
    from difflib import get_close_matches  # here: only who mistypes has to load it

    names = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), names, n=1)
    return f"did you mean {names[near[0]]!r}? " if near else ""
