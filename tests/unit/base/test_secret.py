"""A key is found in a text however it is spelled there, and nothing else is."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import TaskError
from nbp_async._base.secret import Secret
from nbp_async._base.task_handle import Handle

KEY = 'sk-Canary7/that+must.never:be=seen"by&nobody-0042'
HIDDEN = Secret(KEY)
SPELLINGS = {
    "plain": KEY,
    "percent": quote(KEY, safe=""),
    "lower percent": "".join(f"%{ord(c):02x}" for c in KEY),
    "twice": quote(quote(KEY, safe=""), safe=""),
    "json": json.dumps({"a": KEY}),
    "unicode": "".join(f"\\u{ord(c):04X}" for c in KEY),
    "in a quoted string": quote("".join(f"\\u{ord(c):04x}" for c in KEY)),
    "html": "".join(f"&#{ord(c)};" if c in "/+=" else f"&#x{ord(c):X};" for c in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 after others": base64.b64encode(b"Bearer " + KEY.encode()).decode(),
    "urlsafe base64": base64.urlsafe_b64encode(b"k=" + KEY.encode() + b"!").decode(),
    "words": " ".join(KEY[at : at + 4] for at in range(0, len(KEY), 4)),
    "lines": KEY.replace("e", "e\r\n\t"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=list(SPELLINGS))
def test_every_spelling_is_hidden(spelling: str) -> None:
    hidden = HIDDEN.hide(f"wrong key: {spelling} (401)")
    assert "[hidden]" in hidden
    assert hidden.startswith("wrong key: ")
    assert hidden.endswith(" (401)")
    rest = hidden.replace("[hidden]", "").removeprefix("wrong key: ").removesuffix(" (401)")
    assert len(rest) <= 12, "base64 shares its first and last characters with what is around it"


@pytest.mark.parametrize("end", ["", "…", "… and more", '"', "'.", "%", "\\u00"])
def test_a_key_that_was_cut_off_is_hidden(end: str) -> None:
    assert HIDDEN.hide(f"wrong: {KEY[:20]}{end}") == f"wrong: [hidden]{end}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Keys begin with sk-Canary",
        f"{KEY[:20]} is another one",
        "100 % of %41 & &amp; \\ ü € \U0001f6b2…",
        base64.b64encode(bytes(range(256))).decode(),
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert HIDDEN.hide(text) == text


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("sk-Canary7/%25ue0x&#;\\ …\n9")))
def test_no_text_breaks_it(text: str) -> None:
    assert HIDDEN.hide(text).replace("[hidden]", "") in (text, *_without_a_part(text))


def _without_a_part(text: str) -> Iterator[str]:
    for begin in range(len(text)):
        for end in range(begin, len(text) + 1):
            yield text[:begin] + text[end:]


def test_short_words_are_not_keys() -> None:
    assert Secret("k").hide("a key is ok") == "a key is ok"


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=list(SPELLINGS))
def test_it_is_hidden_across_chunks(size: int, spelling: str) -> None:
    body = b"\xff<p>" + b"x" * 4000 + f" {spelling} ".encode() * 3 + b"\x00</p>"
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    hidden = b"".join(HIDDEN.hide_in(chunks))
    assert hidden.count(b"[hidden]") == 3
    assert hidden.startswith(b"\xff<p>" + b"x" * 4000)
    assert hidden.endswith(b"\x00</p>")
    assert b"never" not in hidden


def test_values_and_errors_are_searched_to_their_ends() -> None:
    error = TaskError(f"failed: {KEY}", task=KEY, hint=f"Ask for {KEY}.")
    assert HIDDEN.hide_from(error) is error
    assert (str(error), error.task) == ("failed: [hidden] Ask for [hidden].", "[hidden]")
    nested = {KEY: [KEY, (KEY, 1)], "b": Handle("task", KEY)}
    clean = {"[hidden]": ["[hidden]", ("[hidden]", 1)], "b": Handle("task", "[hidden]")}
    assert HIDDEN.hide_from(nested) == clean
    other = Handle("task", "1")
    assert HIDDEN.hide_from(other) is other


def test_neither_its_patterns_nor_its_parts_show_it() -> None:
    HIDDEN.hide("a text")
    parts = [getattr(HIDDEN, f"_Secret__{name}") for name in ("reveal", "needles")]
    assert "Canary" not in f"{HIDDEN!r} {HIDDEN} {parts!r}"
