"""Reads TOML that a user wrote: whatever the file is, the error says so in a sentence."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbp_async._base.errors import ConfigError
from nbp_async._base.text import printable

_DEEPEST = 32  # tables and lists within each other; a description needs about six


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        ConfigError: It cannot be read, is not UTF-8, or is not TOML. Nothing was sent.
    """
    where = printable(str(path))
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as exc:  # a name with a null in it is a ValueError
        why = getattr(exc, "strerror", None) or "no file can have that name"
        raise ConfigError(f"{where} cannot be read: {why}.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(
            f"{where} is not UTF-8: byte {exc.start + 1:,} is invalid.",
            hint="Save it as UTF-8; editors call that its encoding.",
        ) from None
    return parse_toml(text, where)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The tables of a text; `where` names it.

    Raises:
        ConfigError: It is not TOML.
    """
    try:
        found = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError as exc:  # a number with thousands of digits is one as well
        raise ConfigError(f"{where} is not valid TOML: {printable(str(exc))}.") from None
    if _is_deeper(found, _DEEPEST):
        raise _too_deep(where)
    return found


def _is_deeper(value: Mapping[str, Any], most: int) -> bool:
    """Without recursion: a thousand levels would end it."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return False
    return True


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep(where: str) -> ConfigError:
    return ConfigError(
        f"{where} has tables or lists nested more than {_DEEPEST} deep.",
        hint="Is it the right file? nbp help service-files shows one.",
    )
