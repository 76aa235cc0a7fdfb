"""Reads fields of JSON that may be missing, have the wrong type, or have two spellings."""

from collections.abc import Mapping


def table(value: object) -> Mapping[str, object]:
    """The value if it is a JSON object, else an empty object."""
    return value if isinstance(value, dict) else {}


def either(fields: Mapping[str, object], *names: str) -> object:
    """The first of these fields that is there, or None."""
    return next((fields[name] for name in names if name in fields), None)


def whole_number(text: str) -> int | None:
    """The number that this text writes in at most 18 digits, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def first_text(values: object) -> str:
    """The first item of a list as text, or ""."""
    return str(values[0]) if isinstance(values, list) and values else ""


def lookup(values: object, path: str) -> object:
    """The value at "input.prompt" or "uris.0"; None if it is not there, or the path is empty."""
    for name in path.split("."):
        if isinstance(values, Mapping):
            values = values.get(name)
        elif isinstance(values, list) and name.isdigit():
            values = values[int(name)] if int(name) < len(values) else None
        else:
            return None
    return values
