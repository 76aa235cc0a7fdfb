"""Which columns of a table are which fields of a prompt, and cells in the types of these fields.

One set of rules for everything that has named columns: files, frames, and objects in JSON. A name
counts whatever its case, spaces and plural are: `Aspect Ratio` and `aspect_ratio` are the same. A
name that is one letter off is refused with the name it may mean: taken, it might buy what nobody
asked for; ignored, it would buy the wrong size 300 times.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import time
from typing import Any

from nbp_async._base.errors import ConfigError
from nbp_async._base.suggestions import suggest
from nbp_async._models.prompts import Prompt

FIELDS = tuple(name for name in Prompt.__struct_fields__ if name != "row")
TEXT_NAMES = ("prompt", "text", "prompt text")  # the first that is there is the text
_OTHER_NAMES = {"ratio": "aspect_ratio", "ref": "references", "reference image": "references"}
_WHOLE = ("n", "seed")
_SHORTEST_PLURAL = 4  # letters: "ns" is not a plural of "n"
_SHORTEST_NEAR = 4  # letters of a name that a slip can be told of
_LONG = 8  # letters of a name that may have two slips
_MOST_NAMED = 8  # names that a message lists


def squeeze(name: str) -> str:
    """What of a name counts: its letters and digits, without case and plural."""
    bare = "".join(filter(str.isalnum, name.casefold()))
    return bare.removesuffix("s") if len(bare) >= _SHORTEST_PLURAL else bare


_TEXTS = [squeeze(name) for name in TEXT_NAMES]
_OPTIONS = {squeeze(name): name for name in FIELDS if name != "text"}
_ALIASES = {squeeze(name): field for name, field in _OTHER_NAMES.items()}


def field_of(name: str) -> str:
    """The field that a name means, or ""."""
    key = squeeze(name)
    return "text" if key in _TEXTS else _OPTIONS.get(key) or _ALIASES.get(key, "")


def option_near(name: str) -> str:
    """The option that a misspelt name may mean, or ""."""
    key = squeeze(name)
    for option, field in _OPTIONS.items():
        slips = 2 if len(option) >= _LONG else 1
        if min(len(key), len(option)) >= _SHORTEST_NEAR and _distance(key, option) <= slips:
            return field
    return ""


def fields_by_name(
    names: Collection[str], column: str | None = None, noun: str = "column"
) -> dict[str, str]:
    """The field of each name that means one; "text" is among them if any name means the text.

    Args:
        names: Names of columns, or of an object's keys.
        column: The one that holds the text; None for the usual names.
        noun: What messages call a name.

    Raises:
        ConfigError: `column` is not there, two names mean the same field, or a name that is
            unknown is close to one that is. The name that could be left out is its `column`.
    """
    text = _text_name(names, noun) if column is None else _named(column, names, noun)
    found = {} if text is None else {text: "text"}
    for field in FIELDS:
        named = [name for name in names if name != text and field_of(name) == field]
        exact = [name for name in named if squeeze(name) == squeeze(field)]
        chosen = exact or named
        if field != "text" and len(chosen) > 1:
            raise _two_columns(f"two {noun}s mean the same", *chosen[:2])
        if field != "text" and chosen:
            found[chosen[0]] = field
    for name in names:
        near = "" if name in found or field_of(name) else option_near(name)
        if near and near not in found.values():
            error = ConfigError(
                f"did you mean {near!r}? The {noun} {name!r} is close to it, and is no option.",
                hint=f"Rename it to {near!r} if it is the option.",
            )
            error.column = name
            raise error
    return found


def no_such_name(name: str, names: Collection[str], noun: str) -> ConfigError:
    """The text is looked for under a name that is not there."""
    near = suggest(name, names)
    return ConfigError(f"no {noun} {name!r}; {near}it has {names_listed(names)}.")


def names_listed(names: Iterable[str]) -> str:
    """The names, as a message lists them."""
    given = [name for name in names if name]
    return ", ".join(given[:_MOST_NAMED]) + (", …" if len(given) > _MOST_NAMED else "") or "none"


def _two_columns(what: str, first: str, second: str) -> ConfigError:
    error = ConfigError(f"{what}: {first!r} and {second!r}. Keep one of them.")
    error.column = second if second != first else ""
    return error


def _text_name(names: Collection[str], noun: str) -> str | None:
    for key in _TEXTS:
        same = [name for name in names if squeeze(name) == key]
        if len(same) > 1:
            raise _two_columns(f"two {noun}s hold prompts", *same[:2])
        if same:
            return same[0]
    return None


def _named(column: str, names: Collection[str], noun: str) -> str:
    same = [name for name in names if squeeze(name) == squeeze(column)]
    exact = [name for name in names if name == column]
    if len(exact or same) == 1:
        return (exact or same)[0]
    raise no_such_name(column, names, noun)


def _distance(a: str, b: str) -> int:
    """How many letters were left out, put in, mistaken or swapped with the next."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y)))
            if i > 1 and j > 1 and (x, y) == (b[j - 2], a[i - 2]):
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def is_missing(cell: object) -> bool:
    """None, NaN, or a missing value of pandas: the option is left open."""
    if isinstance(cell, float):
        return cell != cell
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def converted(field: str, cell: Any) -> Any:
    """The cell in the type that its field takes; what no rule is for stays as it is.

    Raises:
        ConfigError: It is text, and no number or JSON where the field needs one.
    """
    if field in _WHOLE and isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if field == "aspect_ratio" and isinstance(cell, time):
        return f"{cell.hour}:{cell.minute}"  # what a spreadsheet makes of 16:9
    if not isinstance(cell, str) or field == "text":
        return cell
    cell = cell.strip()
    if field in _WHOLE:
        return _whole(field, cell)
    if field == "aspect_ratio" and (clock := re.fullmatch(r"(\d\d?):(\d\d)(?::00)?", cell)):
        return f"{int(clock[1])}:{int(clock[2])}"
    if field == "references":
        return [cell]
    return _object(cell) if field == "extra" else cell


def _whole(field: str, cell: str) -> int:
    found = re.fullmatch(r"([+-]?[0-9]{1,4000})(?:\.0*)?", cell)
    if found is None:
        raise _not_that(field, cell, "must be a whole number.")
    return int(found[1])


def _object(cell: str) -> Mapping[str, Any]:
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _not_that("extra", cell, "must be an object in JSON.")
    return found


def _not_that(field: str, cell: str, why: str) -> ConfigError:
    hint = "If the column means something else, rename it."
    return ConfigError(why, option=field, value=cell[:40], hint=hint)
