"""An option and its value as an error keeps them, and as Python's callers write them."""

from collections.abc import Callable
from decimal import Decimal
from os import PathLike, fspath

from nbp_async._base.text import printable

OptionWriter = Callable[[str, object], str]
"""Writes an option and its value (None: the option alone) for one kind of reader."""

_PLAIN = str | int | float | Decimal | None
_SECRET_OPTIONS = frozenset({"api_key", "secret"})
_LONGEST = 200  # characters of an option with its value


class _Repr(str):
    """The repr of a value, in the place of the value: any error can be pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def storable(option: str, value: object) -> object:
    """The value as an error keeps it: text or a number, else its repr; never a key."""
    if option in _SECRET_OPTIONS:
        return None
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, PathLike):
        return fspath(value)
    return _Repr(printable(repr(value), _LONGEST))


def as_keyword(option: str, value: object) -> str:
    """An option as Python's callers write it: `size='4K'`, or `size` alone without a value."""
    if value is None:
        return option
    shown = f"{value:f}" if isinstance(value, Decimal) else repr(value)
    return printable(f"{option}={shown}", _LONGEST)
