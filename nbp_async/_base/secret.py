"""An API key as a value that never shows itself, and that knows itself in what others say."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

HIDDEN = "[hidden]"
_SHORTEST = 6  # characters of a text that is looked for; shorter ones are in any sentence
_BEGINNING = 12  # characters of a key that are hidden where the rest of it was cut off
_MOST_LAYERS = 3  # of spellings within spellings
_LONGEST_SPELLING = 16  # bytes that one character of it may take in a reply
# One character as an address, JSON or HTML may write it, and what is no part of a word at all. It
# begins with a set of characters, not with alternatives: so megabytes of base64 are passed quickly.
_SPELLED = re.compile(
    r"[^!-$'-\[\]-~…](?:(?<=%)(?:25)*([0-9A-Fa-f]{2})|(?<=\\)\\*u00([0-9A-Fa-f]{2})"
    r"|(?<=&)#[xX]0*([0-9A-Fa-f]{2});|(?<=&)#0*(\d{2,3});|(?<=[^!-~])[^!-~…]*)?"
)
# What stands after a text that was cut off: quotes, an ellipsis, half of an escape.
_LONGEST_TAIL = 16
_AFTER_A_CUT = re.compile(r"(?:%[0-9A-Fa-f]?|u[0-9A-Fa-f]{0,3}|&#?[xX]?\d{0,3})?[\"'.)\]}>…]*\Z")


class Secret:
    """An API key that never shows itself: repr and str end in its last four characters.

    No dataclass and no struct: what takes values apart (`asdict`, a JSON encoder) finds nothing.

    Attributes:
        origin: Where it was read, for messages.
        turn: Which one of an account's keys it is, from 0; see `KeyRing`.
    """

    __slots__ = ("__needles", "__reveal", "origin", "turn")

    def __init__(self, value: str, origin: str = "api_key=", *, others: Sequence[str] = ()) -> None:
        """`others` are hidden as well as the key itself."""
        self.__reveal: Callable[[], str] = lambda: value
        self.__needles = cache(lambda: tuple(n for key in (value, *others) for n in _needles(key)))
        self.origin = origin
        self.turn = 0

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self.__reveal()

    def reveal_first(self) -> str:
        """The first of an account's keys: it stands for the account, whichever is in use."""
        return self.__reveal()

    def replace(self, turn: int) -> bool:
        """The key of this turn was refused: whether another one has its place now, or had before.

        One key alone has none.
        """
        return turn != self.turn

    def hide(self, text: str) -> str:
        """The text without the key, however it is spelled there.

        It is found plain, percent-encoded, in base64, in the escapes of JSON and HTML, split by
        blanks, and where its end was cut off.
        """
        return _hide(self.__needles(), text, cut=True)

    def hide_bytes(self, data: bytes) -> bytes:
        """The same of bytes."""
        text = data.decode("latin-1")
        clean = _hide(self.__needles(), text, cut=True)
        return data if clean is text else clean.encode("latin-1")

    def hide_in(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes without the key, also where it lies across two chunks."""
        needles = self.__needles()
        reach = max(map(len, needles), default=0) * _LONGEST_SPELLING
        held = ""
        for chunk in chunks:
            held = _hide(needles, held + chunk.decode("latin-1"), cut=False)
            end = len(held) - reach
            if end > 0:
                yield held[:end].encode("latin-1")
                held = held[end:]
        yield _hide(needles, held, cut=True).encode("latin-1")

    def hide_from(self, value: T) -> T:
        """The value without the key in any text in it: of a struct, a dict, a list or a tuple.

        An exception is changed in its place. What has no such text comes back as it was.
        """
        clean: T = _without(self.hide, value)
        return clean

    def __str__(self) -> str:
        value = self.reveal()
        return f"…{value[-4:]}" if len(value) >= 12 else "…"

    def __repr__(self) -> str:
        return f"Secret({self}, from {self.origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A key is not pickled. Pass it on by name, in an environment variable.")


def _needles(key: str) -> tuple[str, ...]:
    """What is looked for: the key, and what a base64 text has of it for sure."""
    found = {key: None}
    for before in range(3):  # bytes, which decide how the key's own are cut into characters
        data = bytes(before) + key.encode()
        own = slice(-(-8 * before // 6), 8 * len(data) // 6)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found[encode(data).decode()[own]] = None
    return tuple(plain for text in found if len(plain := _SPELLED.sub(_meant, text)) >= _SHORTEST)


def _meant(match: re.Match[str]) -> str:
    """The character that is spelled there, or "" for none."""
    if match.lastindex is None:
        return match[0] if match[0] in "%&" else ""
    code = int(match[match.lastindex], 10 if match.lastindex == 4 else 16)
    return chr(code) if 32 < code < 127 else ""


def _hide(needles: tuple[str, ...], text: str, *, cut: bool) -> str:
    if len(text) < _SHORTEST:
        return text
    plain, layers = _SPELLED.sub(_meant, text), 1
    if plain != text:
        while layers < _MOST_LAYERS and (within := _SPELLED.sub(_meant, plain)) != plain:
            plain, layers = within, layers + 1
    # Every header and answer comes by here: what has not even a beginning ends here, quickly.
    if not any(needle[:_BEGINNING] in plain for needle in needles):
        return text
    ends = _cut_ends(plain) if cut else []
    spans = sorted({span for needle in needles for span in _spans(needle, plain, ends)})
    if not spans:
        return text
    places = _places(text, layers)
    pieces, at = [], 0
    for first, after in spans:
        begin, end = places[first][0], places[after - 1][1]
        if begin >= at:
            pieces += [text[at:begin], HIDDEN]
        at = max(at, end)
    return "".join((*pieces, text[at:]))


def _cut_ends(plain: str) -> list[int]:
    """Where a text ends that may have been cut off."""
    tail = plain[-_LONGEST_TAIL:]
    end = len(plain) - len(tail) + _AFTER_A_CUT.search(tail).start()  # type: ignore[union-attr]
    return [end, *(found.start() for found in re.finditer("…", plain))]


def _spans(needle: str, plain: str, ends: list[int]) -> Iterator[tuple[int, int]]:
    at = plain.find(needle)
    while at >= 0:
        yield at, at + len(needle)
        at = plain.find(needle, at + len(needle))
    if len(needle) > _BEGINNING:
        for end in ends:
            at = plain.find(needle[:_BEGINNING], max(0, end - len(needle)), end)
            if at >= 0 and needle.startswith(plain[at:end]):
                yield at, end


def _places(text: str, layers: int) -> list[tuple[int, int]]:
    """Where each character of the plain text begins and ends in the text."""
    places = [(at, at + 1) for at in range(len(text))]
    for _ in range(layers):
        plain: list[str] = []
        found: list[tuple[int, int]] = []
        at = 0
        for match in _SPELLED.finditer(text):
            plain += text[at : match.start()]
            found += places[at : match.start()]
            at = match.end()
            if meant := _meant(match):
                plain.append(meant)
                found.append((places[match.start()][0], places[at - 1][1]))
        text, places = "".join((*plain, text[at:])), [*found, *places[at:]]
    return places


def _without(hide: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {_without(hide, name): _without(hide, part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without(hide, part) for part in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_without(hide, part) for part in value)
    if isinstance(value, msgspec.Struct):
        changed = {}
        for name in value.__struct_fields__:
            part = getattr(value, name)
            # Each answer comes by here, and most of its fields are empty or numbers.
            if part and (clean := _without(hide, part)) is not part and clean != part:
                changed[name] = clean
        return msgspec.structs.replace(value, **changed) if changed else value
    if isinstance(value, BaseException):
        value.args = _without(hide, value.args)
        for name, part in vars(value).items():
            setattr(value, name, _without(hide, part))
    return value
