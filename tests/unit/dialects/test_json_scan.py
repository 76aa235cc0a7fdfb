"""The scanner gives the same images and the same values however the document is cut up."""

import base64
import json
import re
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import MalformedReplyError, NbpError, TruncatedError
from nbp_async._dialects.base import ImageEnd, ImageText
from nbp_async._dialects.image_strings import image_number
from nbp_async._dialects.json_scan import MOST_KEPT, JsonScan, Keys

KEYS = Keys(
    image=frozenset({b"b64_json", b"data"}), link=frozenset({b"url"}), drop=frozenset({b"sign"})
)


def scan(pieces: list[bytes]) -> tuple[object, dict[int, bytes], set[int]]:
    """The values, the text of each image, and which images ended."""
    scanner = JsonScan(KEYS)
    texts: dict[int, bytes] = {}
    ended: set[int] = set()
    for piece in pieces:
        for part in scanner.feed(piece):
            if isinstance(part, ImageText):
                assert part.image not in ended
                texts[part.image] = texts.get(part.image, b"") + part.text
            else:
                assert isinstance(part, ImageEnd)
                ended.add(part.image)
    return scanner.close(), texts, ended


def restored(value: Any, texts: dict[int, bytes]) -> Any:
    """The document with the images put back."""
    number = image_number(value)
    if number is not None:
        return texts.get(number, b"").decode()
    if isinstance(value, dict):
        return {key: restored(inner, texts) for key, inner in value.items()}
    if isinstance(value, list):
        return [restored(inner, texts) for inner in value]
    return value


def without_drops(value: Any, key: str = "") -> Any:
    """What the scanner promises to leave of a document."""
    if key == "sign" and isinstance(value, str):
        return ""
    if isinstance(value, dict):
        return {k: without_drops(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [without_drops(v) for v in value]
    return value


plain = st.characters(max_codepoint=0xD7FF)
words = st.text(plain, max_size=12) | st.sampled_from(
    ["b64_json", "url", "data", "sign", '"data":"', "data:image/png;base64,AAAA", "\\", '"', "é€"]
)
names = ["b64_json", "url", "data", "sign", "text", "a"]
keys = st.sampled_from(names) | st.text(plain, max_size=6)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
).filter(lambda value: isinstance(value, dict | list))


@given(documents, st.booleans(), st.data())
@settings(max_examples=300)
def test_every_split_gives_the_same_document(document: Any, ascii_: bool, data: Any) -> None:
    text = json.dumps(document, ensure_ascii=ascii_).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    value, texts, _ = scan(pieces)
    assert restored(value, texts) == without_drops(document)


def test_byte_by_byte_is_the_same_as_at_once() -> None:
    text = (
        json.dumps(
            {
                "created": 1,
                "data": [{"b64_json": "QUJD/+=" * 9, "sign": "x" * 99, "url": "https://x/y"}],
            }
        )
        .replace("/", "\\/")
        .encode()
    )
    assert restored(*scan([text])[:2]) == restored(*scan([bytes([b]) for b in text])[:2])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (rb"QUJD\/\/8=", b"QUJD//8="),
        (rb"QUJD\u002b\u002B\u002f", b"QUJD++/"),
        (rb"QUJD\nQUJD\r\n", b"QUJD\nQUJD\r\n"),
        (rb"QUJD\u003d\/", b"QUJD=/"),
        (rb"\\u0041", rb"\u0041"),
        (rb"\\u002b\/", rb"\u002b/"),
        (rb"\\n\/\\/", rb"\n/\/"),
        (rb"\"x", b'"x'),
    ],
)
def test_escapes_in_an_image_are_undone_wherever_they_are_cut(written: bytes, meant: bytes) -> None:
    document = b'{"b64_json":"' + written + b'"}'
    for cut in range(len(document)):
        _, texts, ended = scan([document[:cut], document[cut:]])
        assert texts[0] == meant
        assert ended == {0}


@pytest.mark.parametrize("written", [rb"QU\JD", rb"QU\u00", rb"QU\u00zz", rb"\u"])
def test_what_is_no_escape_is_not_guessed_at(written: bytes) -> None:
    document = b'{"b64_json":"' + written + b'"}'
    for cut in range(len(document)):
        with pytest.raises(MalformedReplyError):
            scan([document[:cut], document[cut:]])


@given(st.binary(max_size=300), st.sampled_from(["php", "net", "go", "lines", "mixed"]), st.data())
@settings(max_examples=200)
def test_every_style_of_escaping_gives_the_same_text(raw: bytes, style: str, data: Any) -> None:
    text = base64.b64encode(raw)
    meant = text
    if style in ("php", "mixed"):
        text = text.replace(b"/", b"\\/")
    if style == "net":
        text = text.replace(b"+", b"\\u002B").replace(b"=", b"\\u003D")
    if style in ("go", "mixed"):
        text = text.replace(b"+", b"\\u002b").replace(b"=", b"\\u003d")
    if style in ("lines", "mixed"):
        meant = b"\r\n".join(meant[i : i + 76] for i in range(0, len(meant), 76))
        text = meant.replace(b"\r\n", b"\\r\\n")
    if style == "mixed":
        text = text.replace(b"A", b"\\u0041")
    document = b'{"data":"' + text + b'","end":1}'
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=6)))
    value, texts, _ = scan([document[a:b] for a, b in pairwise([0, *cuts, len(document)])])
    assert texts.get(0, b"") == meant
    assert isinstance(value, dict)
    assert value["end"] == 1


@pytest.mark.parametrize("tail", [b"\\\\", b'\\\\\\"', b'\\"', b"\\\\\\\\"])
def test_backslashes_before_the_end_of_a_string_are_counted(tail: bytes) -> None:
    for key in (b"sign", b"data", b"text"):
        document = b'{"%b":"x%b","a":1}' % (key, tail)
        for cut in range(len(document)):
            value, texts, _ = scan([document[:cut], document[cut:]])
            assert restored(value, texts) == without_drops(json.loads(document))


def test_an_empty_image_is_an_ordinary_string() -> None:
    document = b'{"b64_json":"","data" : "" ,"url":""}'
    for cut in range(len(document)):
        value, texts, ended = scan([document[:cut], document[cut:]])
        assert value == {"b64_json": "", "data": "", "url": ""}
        assert not texts
        assert not ended


@pytest.mark.parametrize("length", [MOST_KEPT - 3, MOST_KEPT - 2, MOST_KEPT - 1, 3 * MOST_KEPT])
def test_which_strings_are_dropped_does_not_depend_on_the_pieces(length: int) -> None:
    document = b'{"a":"' + b"x" * length + b'","b":"y"}'
    kept = "x" * length if length + 2 <= MOST_KEPT else ""
    for step in (len(document), 997, 4096):
        value, _, _ = scan([document[i : i + step] for i in range(0, len(document), step)])
        assert value == {"a": kept, "b": "y"}


def test_an_ordinary_string_is_kept_up_to_eight_kib_with_its_quotes() -> None:
    for length, kept in ((8190, True), (8191, False)):
        value, _, _ = scan([b'{"a":"' + b"x" * length + b'"}'])
        assert value == {"a": "x" * length if kept else ""}


def test_a_string_that_nobody_wants_is_no_part_at_all() -> None:
    document = b'{"sign":"xxxx","data":"QUJD","sign":"yyyy"}'
    for cut in range(len(document)):
        _, texts, ended = scan([document[:cut], document[cut:]])
        assert (texts, ended) == ({0: b"QUJD"}, {0})


def test_long_strings_that_come_at_once_do_not_count_as_kept() -> None:
    document = json.dumps({"a": ["x" * 100_000] * 30, "data": "QUJD"}).encode()
    value, texts, _ = scan([document])
    assert isinstance(value, dict)
    assert value["a"] == [""] * 30
    assert texts == {0: b"QUJD"}


def test_any_length_of_blanks_between_a_key_and_its_image_is_put_up_with() -> None:
    blanks = b" \n" * MOST_KEPT
    for document in (b'{"data"%b:"QUJD"}' % blanks, b'{"data":%b"QUJD"}' % blanks):
        for step in (1000, len(document) - 6, len(document)):
            pieces = [document[i : i + step] for i in range(0, len(document), step)]
            _, texts, ended = scan(pieces)
            assert (texts, ended) == ({0: b"QUJD"}, {0})


def test_a_word_in_a_text_or_a_list_is_no_key() -> None:
    document = {"text": 'say "data":"x"', "list": ["data", "url", "b64_json"], "data": ["url"]}
    value, texts, _ = scan([json.dumps(document).encode()])
    assert value == document
    assert texts == {}


def test_a_link_is_an_image_only_if_it_is_a_data_address() -> None:
    for cut in range(60):
        document = b'{"a":{"url":"https://x/y.png"},"b":{"url" : "data:image/png;base64,QUJD"}}'
        value, texts, _ = scan([document[:cut], document[cut:]])
        assert isinstance(value, dict)
        assert value["a"]["url"] == "https://x/y.png"
        assert texts == {0: b"data:image/png;base64,QUJD"}


def test_memory_does_not_follow_what_nobody_wants() -> None:
    scanner = JsonScan(KEYS)
    scanner.feed(b'{"sign":"')
    for _ in range(100):
        scanner.feed(b"x" * 65536)
    scanner.feed(b'","text":"')
    for _ in range(100):
        scanner.feed(b"y" * 65536)
    scanner.feed(b'","b64_json":"')
    for _ in range(100):
        assert len(scanner.feed(b"z" * 65536)) == 1
    scanner.feed(b'"}')
    value = scanner.close()
    assert isinstance(value, dict)
    assert (value["sign"], value["text"], image_number(value["b64_json"])) == ("", "", 0)


@pytest.mark.parametrize("key", [b"text", b"sign", b"b64_json"])
def test_what_waits_for_the_next_piece_is_never_more_than_a_short_string(key: bytes) -> None:
    scanner = JsonScan(KEYS)
    scanner.feed(b'{"%b":"' % key)
    for _ in range(100):
        scanner.feed(b"x" * 1000)
        assert len(scanner._rest) <= MOST_KEPT


def test_complete_is_told_from_the_document_alone() -> None:
    scanner = JsonScan(KEYS)
    text = b'{"data":"QUJD","a":[{"x":"}]}"}]} \n'
    for at in range(len(text)):
        assert scanner.complete is (at > text.index(b"]} ") + 1)
        scanner.feed(text[at : at + 1])
    assert scanner.complete


@pytest.mark.parametrize(
    "text", [b"", b"  \n ", b"\xef\xbb\xbf", b'{"a":1', b'{"a":"', b'{"data":"Q', b"[1,"]
)
def test_what_ends_early_is_truncated(text: bytes) -> None:
    with pytest.raises(TruncatedError):
        scan([text])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"<!DOCTYPE html><title>502 Bad Gateway</title>", "an HTML page"),
        (b"upstream error", "not JSON"),
        (b"null", "not JSON"),
        (b'{"a":1,,"b":2}', "not valid JSON"),
        (b'{"a" 1}', "not valid JSON"),
        (b"{a:1}", "not valid JSON"),
        ('{"a":1}'.encode("utf-16"), "not JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "not valid JSON"),
        (b'{"a":"' + b'x","a":"' * 200_000, "megabyte"),
    ],
)
def test_what_is_no_json_is_said_so(text: bytes, says: str) -> None:
    with pytest.raises(MalformedReplyError, match=says):
        scan([text])


PNG_TEXT = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b'{"text":"See ![a](data:image/png;base64,%b) done."}', {"text": "See ![a](0) done."}),
        (b'{"text":"<img src=\\"data:image\\/png;base64,%b\\" />"}', {"text": '<img src="0" />'}),
        (b'{"x":{"y":["%b"]}}', {"x": {"y": ["0"]}}),
        (b'["data:image/png;charset=x;base64,%b"]', ["0"]),
        (b'{"a":"data:image/svg+xml,<svg>","b":"%b"}', {"a": "data:image/svg+xml,<svg>", "b": "0"}),
        (
            b'{"text":"' + b"long " * 4000 + b'data:image/png;base64,%b and more"}',
            {"text": "0 and more"},
        ),
        (
            b'{"text":"data:image/png;base64,%b","data":"https://x/y"}',
            {"text": "0", "data": "https://x/y"},
        ),
        (b'{"url":"%b","data":""}', {"url": "0", "data": ""}),
    ],
)
@pytest.mark.parametrize("times", [1, 40])
def test_an_image_is_lifted_out_wherever_it_stands(text: bytes, left: object, times: int) -> None:
    """However it is cut up; short, or longer than any text that is kept."""
    image = PNG_TEXT + b"QUJD" * (times * 60)
    document = text % image
    for step in (1, 7, 1000, len(document)):
        pieces = [document[at : at + step] for at in range(0, len(document), step)]
        value, texts, ended = scan(pieces)
        assert texts[0].removeprefix(b"data:image/png;charset=x;base64,") == image
        assert ended == {0}
        assert json.loads(re.sub(r"image-[0-9a-f]{32}-", "", json.dumps(value))) == left


def test_what_only_mentions_an_address_is_a_text() -> None:
    for said in ("use data:image/png;base64,", "data:image", "data:image/png;base64,short)"):
        assert scan([json.dumps({"text": said}).encode()]) == ({"text": said}, {}, set())


def test_a_page_is_quoted_in_short_and_without_keys() -> None:
    page = b"<html>\n<body>key sk-0123456789abcdef is blocked " + b"x" * 5000
    with pytest.raises(MalformedReplyError) as caught:
        scan([page])
    assert "is blocked" in str(caught.value)
    assert "0123456789" not in str(caught.value)
    assert len(str(caught.value)) < 260


def test_a_byte_order_mark_and_repeated_keys_are_put_up_with() -> None:
    assert scan([b'\xef\xbb\xbf{"a":1,"a":2}'])[0] == {"a": 2}


def test_a_number_of_five_thousand_digits_does_no_harm() -> None:
    with suppress(MalformedReplyError):
        scan([b'{"a":' + b"1" * 5000 + b"}"])


def test_a_string_that_is_never_ended_is_dropped_not_gathered() -> None:
    scanner = JsonScan(KEYS)
    scanner.feed(b'{"a":"' + b"x" * (MOST_KEPT + 1))
    with pytest.raises(TruncatedError):
        scanner.close()


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 80))
@settings(max_examples=300)
def test_nothing_but_typed_errors_ever_comes_out(junk: bytes, at: int, cut: int) -> None:
    text = b'{"created":1,"data":[{"b64_json":"QUJDRA==","url":"https://x"}],"usage":{"a":1}}'
    mutated = text[:at] + junk + text[at:]
    with suppress(NbpError):
        scan([mutated[:cut], mutated[cut:]])


@pytest.mark.parametrize("text", [b"<html></html>", b"upstream error"])
def test_text_that_anybody_may_have_written_is_not_said_to_be_billed(text: bytes) -> None:
    with pytest.raises(MalformedReplyError) as caught:
        scan([text])
    assert caught.value.billing == "maybe"
