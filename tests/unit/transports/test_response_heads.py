"""A head is put right when it is whole; what is no head, and what follows, passes untouched."""

import pytest

from nbp_async._transports.response_heads import HeadReader

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("head", "right"),
    [
        (b"Content-Length: 2\r\nContent-Length: 2\r\n", b"Content-Length: 2\r\n"),
        (b"Content-Length: 2, 2\r\nX: 1\r\n", b"Content-Length: 2\r\nX: 1\r\n"),
        (b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\n"),
        (b"TRANSFER-ENCODING: Chunked\r\ncontent-length:9\r\n", b"TRANSFER-ENCODING: Chunked\r\n"),
    ],
)
def test_a_head_is_put_right(head: bytes, right: bytes) -> None:
    assert HeadReader().feed(OK + head + b"\r\n{}") == OK + right + b"\r\n{}"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 3\r\n",
        b"Content-Length: 2\r\n 2\r\nContent-Length: 2\r\n",
        b"Content-Length: two\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: identity\r\n",
        b"Content-Length : 2\r\nTransfer-Encoding: chunked\r\n",
        b"X-Content-Length: 2\r\nX: Content-Length: 2\r\n",
    ],
)
def test_what_is_right_or_cannot_be_known_is_left_to_the_parser(head: bytes) -> None:
    answer = OK + head + b"\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n"
    assert HeadReader().feed(answer) == answer


def test_nothing_passes_before_the_head_is_whole_and_everything_after() -> None:
    reader = HeadReader()
    assert reader.feed(OK + b"Content-Length: 2\r\nContent-") == b""
    assert reader.feed(b"Length: 2\r\n\r\n{") == OK + b"Content-Length: 2\r\n\r\n{"
    assert reader.feed(b"}\r\n\r\n") == b"}\r\n\r\n"
    reader.begin()
    assert reader.feed(OK) == b""
    assert reader.rest() == OK
    assert reader.rest() == b""


def test_heads_before_the_response_pass_and_the_response_is_still_a_head() -> None:
    reader = HeadReader()
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    assert reader.feed(early + OK) == early
    assert reader.feed(b"Content-Length: 2, 2\r\n\r\n") == OK + b"Content-Length: 2\r\n\r\n"


@pytest.mark.parametrize("data", [b"SSH-2.0", b"\r\nHTTP/1.1", b"{}", b"HTTP/" + b"a" * 200_000])
def test_what_cannot_be_a_head_goes_to_the_parser_at_once(data: bytes) -> None:
    assert HeadReader().feed(data) == data


def test_a_head_is_put_right_only_where_it_begins_as_one() -> None:
    """Else a line that stands before it would be taken out, and a garbled answer be read."""
    answer = b"Content-Length: 3\r\n" + OK + b"Content-Length: 3\r\n\r\none"
    assert HeadReader().feed(answer) == answer


def test_after_a_change_of_protocol_nothing_is_a_head() -> None:
    reader = HeadReader()
    reader.feed(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    assert reader.feed(b"HTTP/1.1 2") == b"HTTP/1.1 2"
