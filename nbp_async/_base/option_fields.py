"""What a program can know of each option: its documentation, default, bounds and choices.

A command line or a form is built from it, so that an option is described where it is defined alone.
"""

import dataclasses
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nbp_async._base.fields import Form, OnlyVia, Range, marks_of

_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*(?:\n[ ]{4,}.*)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionField:
    """One option of a `Limits`, `Timeouts`, `Retry`, `ClientOptions`, `CallOptions` and so on.

    Attributes:
        name: As Python's callers write it.
        kind: Its type, without bounds.
        default: What it is unless it is given; None as well where it must be given.
        text: Its documentation.
        example: How a value is written, as `"60/min"`; "" where the type says it.
        choices: The words that it can be; empty for any value.
        least, most: Its bounds, or None.
        unit: "seconds", "bytes", "dollars", or "".
        via: The `via=` that it is for; empty for all of them.
    """

    name: str
    kind: object
    default: object = None
    text: str = ""
    example: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    unit: str = ""
    via: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first sentence of its documentation."""
        return re.split(r"(?<=[.;:]) ", self.text, maxsplit=1)[0].rstrip(".;:") + "."

    @property
    def is_flag(self) -> bool:
        """It is True or False; None, if it can be that, leaves it to the library."""
        return self.kind in (bool, bool | None)


def option_fields(kind: type[Any]) -> Mapping[str, OptionField]:
    """The options of a value such as `Limits` or `CallOptions`, by name.

    ```python
    help_text = option_fields(Limits)["max_in_flight"].summary
    ```
    """
    hashable: Any = kind
    return _fields_of(hashable)


@cache
def _fields_of(kind: Any) -> Mapping[str, OptionField]:
    marked = get_type_hints(kind, include_extras=True)
    plain, texts = get_type_hints(kind), texts_of(kind)
    fields = {
        field.name: _option(field, plain[field.name], marked[field.name], texts)
        for field in dataclasses.fields(kind)
    }
    return MappingProxyType(fields)


def texts_of(kind: type[Any]) -> dict[str, str]:
    """The documentation of each attribute, from the class and those that it extends."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("\nAttributes:\n")
        attributes = inspect.cleandoc("\n" + attributes.partition("\n\n")[0])
        for entry in _ENTRY.finditer(attributes):
            text = " ".join(entry[2].split())
            texts |= dict.fromkeys(entry[1].split(", "), text)
    return texts


def _option(
    field: dataclasses.Field[Any], plain: object, marked: object, texts: dict[str, str]
) -> OptionField:
    marks = marks_of(marked)
    ranges = [mark for mark in marks if isinstance(mark, Range)]
    bounds = ranges[0] if ranges else Range()
    return OptionField(
        name=field.name,
        kind=plain,
        default=None if field.default is dataclasses.MISSING else field.default,
        text=texts.get(field.name, ""),
        example=next((mark.example for mark in marks if isinstance(mark, Form)), ""),
        choices=_choices(plain),
        least=bounds.above if bounds.least is None else bounds.least,
        most=bounds.most,
        unit=bounds.unit,
        via=tuple(mark.via for mark in marks if isinstance(mark, OnlyVia)),
    )


def _choices(hint: object) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((found for arg in get_args(hint) if (found := _choices(arg))), ())
