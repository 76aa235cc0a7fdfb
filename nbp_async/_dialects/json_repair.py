"""Reads JSON that a vendor, a relay or a box on the way has spoilt: the image in it is paid for.

A document that is not whole is never read: the repair touches what stands in it, not its end.

| spoilt | read as |
| --- | --- |
| NaN, Infinity, a number without bounds | null, or a number that counts as none |
| a lone surrogate, a byte that is not UTF-8 | the replacement character |
| a raw line break in a string, an invalid escape | what it says |
| a comma before a closing bracket | nothing |
| more documents after the first | a list of documents |
| anything else after the end | nothing |
"""

import json
import re
from typing import NamedTuple

import msgspec

from nbp_async._base.errors import MalformedReplyError, TruncatedError

_STRING_OR_COMMA = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|,(?=\s*+[}\]])', re.DOTALL)
_ESCAPE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\(?P<one>u[0-9a-fA-F]{4}|.)",
    re.DOTALL,
)
_BLANKS = re.compile(r"\s*+")
_LONGEST_INTEGER = 18  # digits; Python refuses 4300, and no count has more


class Documents(NamedTuple):
    """What was read.

    Attributes:
        first: The first document.
        later: The documents that follow it.
        is_cut: The last of them is not whole; what came of it is left out.
        notes: What was wrong, in words for the user.
    """

    first: object
    later: list[object]
    is_cut: bool = False
    notes: tuple[str, ...] = ()


def read_documents(text: bytes) -> Documents:
    """Read the first whole JSON document of `text`, and those after it.

    Raises:
        TruncatedError: The first is not whole.
        MalformedReplyError: It is not JSON, and cannot be read as if it were.
    """
    try:
        return Documents(msgspec.json.decode(text), [])
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        words = str(exc)[:200]
    return _read_spoilt(text, words)


def _read_spoilt(text: bytes, words: str) -> Documents:
    plain, is_sound = _repair(text)
    documents: list[object] = []
    at, is_cut = _after_blanks(plain, 0), False
    while at < len(plain) and plain[at] in "{[":
        try:
            document, end = _DECODER.raw_decode(plain, at)
        except (ValueError, RecursionError) as exc:
            is_cut = "truncated" in words or getattr(exc, "pos", 0) >= len(plain)
            break
        is_sound = is_sound and _is_strict(plain[at:end])
        documents.append(document)
        at = _after_blanks(plain, end)
    if not documents:
        if is_cut:
            raise TruncatedError("The JSON of the response is incomplete.")
        raise MalformedReplyError(f"The response is not valid JSON: {words}.")
    repaired = f"the response was not valid JSON and was repaired: {words}"
    notes = [] if is_sound else [repaired]
    notes += ["the response went on after its end"] if at < len(plain) else []
    return Documents(documents[0], documents[1:], is_cut, tuple(notes))


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _repair(text: bytes) -> tuple[str, bool]:
    """The text that can be read, and whether it is the same."""
    try:
        plain, is_sound = text.decode(), True
    except UnicodeDecodeError:
        plain, is_sound = text.decode("utf-8", "replace"), False
    repaired = _STRING_OR_COMMA.sub(_repaired_token, plain)
    return repaired, is_sound and repaired == plain


def _repaired_token(token: re.Match[str]) -> str:
    text = token[0]
    if text == ",":
        return ""
    return _ESCAPE.sub(_repaired_escape, text) if "\\" in text else text


def _repaired_escape(escape: re.Match[str]) -> str:
    if escape["pair"] or escape["one"][0] in '"\\/bfnrt':
        return escape[0]
    if len(escape["one"]) == 1:
        return escape["one"]
    is_surrogate = 0xD800 <= int(escape["one"][1:], 16) < 0xE000
    return "\\ufffd" if is_surrogate else escape[0]


def _is_strict(document: str) -> bool:
    try:
        msgspec.json.decode(document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else None


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer, parse_constant=lambda _: None)
