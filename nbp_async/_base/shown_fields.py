"""How a value of options shows itself: the fields that were set, and no secret in them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar

from nbp_async._base.fields import HIDDEN, marks_of

# In the address of a proxy or of a database: `//name:password@` and `?password=...`.
_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):[^\s/]*@|(?<=password=)[^\s&'\"]+", re.IGNORECASE)


class ShownFields:
    """A frozen dataclass, made with `repr=False`, whose repr names what differs from the default.

    `...` stands for a value that messages do not repeat either, such as a key.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __repr__(self) -> str:
        shown = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != _default_of(field):
                # What was read from such a value shows itself without its secret.
                is_hidden = isinstance(value, str | Mapping | Sequence) and any(
                    mark is HIDDEN for mark in marks_of(field.type)
                )
                shown.append(f"{field.name}={'...' if is_hidden else _without_passwords(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _default_of(field: Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _without_passwords(value: object) -> str:
    return _PASSWORD.sub(lambda found: f"{found[1]}:...@" if found[1] else "...", repr(value))
