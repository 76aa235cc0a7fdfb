"""JSON that is spoilt and whole is read, with a note; JSON that is cut is an error."""

import pytest

from nbp_async._base.errors import MalformedReplyError
from nbp_async._dialects.json_scan import JsonScan, Keys

KEYS = Keys(image=frozenset({b"data"}))


def read(text: bytes, step: int | None = None) -> tuple[JsonScan, object]:
    """The scanner after its end, and the document."""
    scanner = JsonScan(KEYS)
    step = step or max(1, len(text))
    for at in range(0, len(text), step):
        scanner.feed(text[at : at + step])
    return scanner, scanner.close()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":NaN,"b":[Infinity,-Infinity]}', {"a": None, "b": [None, None]}),
        (b'{"a":"x\\ud83dy"}', {"a": "x\ufffdy"}),
        (b'{"a":"\\ud83d\\ude00","b":NaN}', {"a": "\U0001f600", "b": None}),
        (b'{"a":"caf\xe9"}', {"a": "caf\ufffd"}),
        (b'{"a":"two\nlines\tand"}', {"a": "two\nlines\tand"}),
        (b'{"a":"it\\\'s","b":"\\u12"}', {"a": "it's", "b": "u12"}),
        (b'{"a":[1,2,],}', {"a": [1, 2]}),
        (b'{"a":",}","b":1 , }', {"a": ",}", "b": 1}),
        (b'{"a":' + b"9" * 5000 + b"}", {"a": None}),
        (b'{"a":1e999}', {"a": float("inf")}),
    ],
)
def test_spoilt_json_is_read_and_says_what_was_wrong(text: bytes, value: object) -> None:
    for step in (1, None):
        scanner, document = read(text, step)
        assert document == value
        (note,) = scanner.notes
        assert note.startswith("the response was not valid JSON and was repaired: ")
    for length in range(len(text)):
        with pytest.raises(MalformedReplyError):
            read(text[:length])


@pytest.mark.parametrize(
    ("tail", "later", "is_cut", "noted"),
    [
        (b"</html>", [], False, True),
        (b'<a href="x', [], True, True),
        (b"}", [], False, True),
        (b' \n{"a":2}\n{"a":3} ', [{"a": 2}, {"a": 3}], False, False),
        (b'\n{"a":2,"b":', [], True, True),
        (b'\n{"data":"QUJD', [], True, True),
    ],
)
def test_what_follows_the_document_is_no_part_of_it(
    tail: bytes, later: list[object], is_cut: bool, noted: bool
) -> None:
    scanner, document = read(b'{"a":1}' + tail)
    assert document == {"a": 1}
    assert (scanner.later, scanner.is_cut, bool(scanner.notes)) == (later, is_cut, noted)
