"""Fields of option values: what each may hold, checked where the value is made.

The annotation of a field is the rule; what it leaves open stands beside it, in `Annotated`:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Timeouts:
        connect: Annotated[float, Range(above=0, unit="seconds")] = 10.0

        def __post_init__(self) -> None:
            check_fields(self)

It works on dataclasses and on msgspec structs, whose constructors check nothing by themselves.
"""

import math
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from functools import cache, wraps
from typing import (
    Annotated,
    Any,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from nbp_async._base.errors import ConfigError
from nbp_async._base.suggestions import suggest

Value = TypeVar("Value")

_NO_DEFAULT = object()
_PLAIN = {str, bytes, int, bool, types.NoneType}  # types that are checked by their name alone
_NOUNS = {str: "text", int: "a whole number", float: "a number", bool: "True or False"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bounds of a number, and its unit."""

    least: int | float | None = None
    above: int | float | None = None
    most: int | float | None = None
    unit: str = ""

    def accepts(self, value: Any) -> bool:
        """The value is within the bounds; what is no number is not judged here."""
        if not isinstance(value, int | float | Decimal):
            return True
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f" from {self.least} to {self.most}"
        bounds = ((", at least", self.least), (" above", self.above), (" up to", self.most))
        return "".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written, as an example.

    Attributes:
        example: What a message shows.
        pattern: Regular expression that a text matches as a whole; "" for any text.
        read: Makes the value that is kept of what was given; called with it and the field's name.
    """

    example: str
    pattern: str = ""
    read: Callable[[Any, str], object] | None = None

    def accepts(self, value: Any) -> bool:
        """A text has this form; what is no text is not judged here."""
        return (
            not self.pattern
            or not isinstance(value, str)
            or re.fullmatch(self.pattern, value) is not None
        )


@dataclass(frozen=True, slots=True)
class OnlyVia:
    """An option that means something with one way of delivery alone."""

    via: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A value that people give for this option, and that another option has.

    Attributes:
        value: What they give.
        why: What it is instead.
        option, instead: The option for it, and its value there.
    """

    value: str
    why: str
    option: str
    instead: str


class _HiddenValue:
    """A value that messages do not repeat."""


HIDDEN = _HiddenValue()

Count = Annotated[int, Range(least=1)]
Seconds = Annotated[float, Range(above=0, unit="seconds")]
Bytes = Annotated[int, Range(least=0, unit="bytes")]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What one field may hold; `plain` types need no closer look, nor does the default."""

    name: str
    default: object
    plain: frozenset[type]
    accepts: Callable[[Any], bool]
    wanted: str
    read: Callable[[Any, str], object] | None
    hidden: bool
    elsewhere: tuple[Elsewhere, ...]

    def error(self, given: object) -> ConfigError:
        """The field cannot hold what was given."""
        words, shown = f"give {self.wanted}", given
        try:
            repr(given)
        except Exception:  # noqa: BLE001  a message about a mistake does not fail over its repr
            shown = None
        if self.hidden or shown is None:
            kind = "None" if given is None else f"a value of type {type(given).__name__}"
            words, shown = f"{words}, not {kind}", None
        meant = [one for one in self.elsewhere if isinstance(given, str) and one.value == given]
        words = "; ".join((words, *(one.why for one in meant)))
        remedy = {one.option: one.instead for one in meant}
        return ConfigError(f"{words}.", option=self.name, value=shown, remedy=remedy)


def known_names(**others: str) -> Callable[[type[Value]], type[Value]]:
    """Give a dataclass an error that says which field an unknown keyword is probably meant for.

    Args:
        others: What a field is called elsewhere: `rate="rpm qps"`.
    """

    meant = {other: name for name, words in others.items() for other in words.split()}

    def decorate(kind: type[Value]) -> type[Value]:
        make: Any = kind.__init__
        names = [field.name for field in dataclass_fields(kind) if field.init]  # type: ignore[arg-type]

        @wraps(make)
        def check(self: Value, *args: Any, **given: Any) -> None:
            for name in given:
                if name not in names:
                    near = f"did you mean {meant[name]!r}? " if name in meant else ""
                    near = near or suggest(name, names)
                    raise TypeError(
                        f"{kind.__name__}() has no option {name!r}: {near}{'It' if near else 'it'} "
                        f"has {', '.join(names)}. Nothing was sent."
                    )
            make(self, *args, **given)

        kind.__init__ = check  # type: ignore[method-assign, assignment]
        return kind

    return decorate


def check_fields(value: Any) -> None:
    """Check each field of a value that is being made, and keep it as its `Form` reads it.

    Raises:
        ConfigError: Which field cannot hold what was given, and what it can hold.
    """
    kind: Any = type(value)
    for rule in rules_of(kind):
        given = getattr(value, rule.name)
        if given is rule.default or type(given) in rule.plain:
            continue
        if not rule.accepts(given):
            raise rule.error(given)
        if rule.read is not None and given is not None:
            object.__setattr__(value, rule.name, rule.read(given, rule.name))


@cache
def rules_of(kind: type[Any]) -> tuple[FieldRule, ...]:
    """The rules of a dataclass or struct, from its annotations."""
    hints = get_type_hints(kind, include_extras=True)
    if is_dataclass(kind):
        known = {field.name: field.default for field in dataclass_fields(kind)}
    else:
        known = {field.name: field.default for field in msgspec.structs.fields(kind)}
    return tuple(_rule_of(name, hints[name], default) for name, default in known.items())


def marks_of(hint: object) -> list[object]:
    """What stands beside the type of a field in `Annotated`, that of its alternatives included."""
    beside = list(getattr(hint, "__metadata__", ()))
    inner = get_args(hint)[:1] if beside else get_args(hint)
    return beside + [mark for part in inner for mark in marks_of(part)]


def _rule_of(name: str, hint: object, default: object) -> FieldRule:
    marks = marks_of(hint)
    reads = [mark.read for mark in marks if isinstance(mark, Form) and mark.read is not None]
    bounded = reads or any(isinstance(mark, Range) or _has_pattern(mark) for mark in marks)
    return FieldRule(
        name,
        _NO_DEFAULT if reads else default,
        frozenset() if bounded else frozenset(_types_of(hint)) & _PLAIN,
        _test_of(hint),
        wanted_by(hint),
        reads[0] if reads else None,
        any(mark is HIDDEN for mark in marks),
        tuple(mark for mark in marks if isinstance(mark, Elsewhere)),
    )


def _has_pattern(mark: object) -> bool:
    return isinstance(mark, Form) and bool(mark.pattern)


def _types_of(hint: object) -> list[type]:
    """The types that a hint names as alternatives."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _types_of(args[0])
    if origin in (Union, types.UnionType):
        return [kind for arg in args for kind in _types_of(arg)]
    return [hint] if isinstance(hint, type) and origin is None else []


def _test_of(hint: Any) -> Callable[[Any], bool]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner = _test_of(args[0])
        marks = [mark for mark in args[1:] if isinstance(mark, Range | Form)]
        return lambda value: inner(value) and all(mark.accepts(value) for mark in marks)
    if origin in (Union, types.UnionType):
        tests = [_test_of(arg) for arg in args]
        return lambda value: any(test(value) for test in tests)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in args
    if origin in (dict, Mapping):
        key, item = map(_test_of, args)
        kind = origin
        return lambda value: (
            isinstance(value, kind) and all(key(k) and item(v) for k, v in value.items())
        )
    if origin in (tuple, frozenset, Sequence, Collection):
        each = _test_of(args[0])
        kind = origin
        return lambda value: (
            isinstance(value, kind)
            and not isinstance(value, str | bytes)
            and all(each(part) for part in value)
        )
    return _SIMPLE.get(origin or hint) or _instance_test(origin or hint)


def _instance_test(kind: type) -> Callable[[Any], bool]:
    if kind in (Any, object):
        return lambda _: True
    if not getattr(kind, "_is_protocol", False):
        return lambda value: isinstance(value, kind)
    bases = [base for base in kind.__mro__ if base not in (Protocol, object)]
    methods = {name for base in bases for name in vars(base) if not name.startswith("_")}
    return lambda value: (
        not isinstance(value, type) and all(hasattr(value, name) for name in methods)
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


_SIMPLE: dict[Any, Callable[[Any], bool]] = {
    int: _is_int,
    float: _is_number,
    Callable: callable,
    types.NoneType: lambda value: value is None,
    Decimal: lambda value: isinstance(value, Decimal) and value.is_finite(),
}


def wanted_by(hint: Any) -> str:
    """What a field of this type takes, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _wanted_beside(args)
    if origin in (Union, types.UnionType):
        return one_of([word for arg in args for word in _words_of(arg)])
    if origin is Literal:
        return one_of(_words_of(hint))
    if origin in (dict, Mapping):
        return f"a dict of {wanted_by(args[0])} to {wanted_by(args[1])}"
    if origin in (tuple, frozenset, Sequence, Collection):
        noun = origin.__name__ if origin in (tuple, frozenset) else "list"
        return f"a {noun} of {wanted_by(args[0])}"
    if origin is not None and issubclass(origin, Callable):  # type: ignore[arg-type]  # it is a class
        return "a function"
    return _NOUNS.get(hint) or f"a {getattr(hint, '__name__', hint)}"


def _words_of(hint: Any) -> list[str]:
    """One alternative, or each of its choices."""
    if hint is types.NoneType:
        return ["None"]
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    return [f'"{choice}"' for choice in choices] or [wanted_by(hint)]


def _wanted_beside(args: tuple[Any, ...]) -> str:
    for mark in args[1:]:
        if isinstance(mark, Form):
            return mark.example
    bounds = [mark for mark in args[1:] if isinstance(mark, Range)]
    noun = next((mark.unit for mark in bounds if mark.unit), "") or wanted_by(args[0])
    return "".join([noun, *map(str, bounds)])


def one_of(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
