"""Every answer of llhttp's own tests is read as llhttp reads it; and no fuzzed one is a success.

`NBP_FUZZ=1000000` makes so many answers instead of a few thousand.
"""

import gc
import json
import os
import random
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.transport.kit import Kind, Line
from tests.raw_server import OK, answering, framed

pytest.importorskip("httptools")

from nbp_async._transports.response_parser import (
    PARSER_ERROR,
    ResponseParser,
)

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "llhttp_responses.json").read_text()
)["cases"]
# The one thing in which ours is not so strict, nor is aiohttp: lines of a head that end by a line
# feed alone. On a connection of one request, nothing can be smuggled in by them.
BARE_LINE_FEEDS = {
    "invalid: Only LFs present",
    "invalid: Only LFs present and no body",
    "sample: No carriage ret",
}
COUNT = int(os.environ.get("NBP_FUZZ", "3000"))


@dataclass(frozen=True)
class Read:
    """How an answer was read: "complete", "open" or "refused"; and at the end of the connection."""

    end: str
    status: int | None = None
    body: bytes = b""
    is_whole: bool = False


def read(pieces: Iterator[memoryview]) -> Read:
    parser = ResponseParser()
    end = "open"
    try:
        for piece in pieces:
            parser.feed(piece)
        end = "complete" if parser.complete else "open"
        is_whole = parser.end()
    except PARSER_ERROR:
        return Read("refused")
    body = parser.take()
    head = parser.head
    parser.close()
    return Read(end, head.status if head else None, body, is_whole)


def in_pieces(answer: bytes, size: int) -> Iterator[memoryview]:
    whole = memoryview(answer)
    return (whole[at : at + size] for at in range(0, len(answer), size))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
@pytest.mark.parametrize("size", [1, 3, 17, 100_000])
def test_each_answer_is_read_as_llhttp_reads_it(case: dict[str, Any], size: int) -> None:
    found = read(in_pieces(case["answer"].encode("latin-1"), size))
    if case["name"] in BARE_LINE_FEEDS:
        assert found.status == 200
    elif case["end"] == "refused":
        assert found.end == "refused"
    else:
        body = case["body"].encode("latin-1")
        assert (found.end, found.status, found.body) == (case["end"], case["status"], body)


def test_a_status_below_100_is_refused() -> None:
    """Else its body would be taken for the beginning of the next one's."""
    answer = framed(b"one", status=b"000 OK") + framed(b"two")
    assert read(in_pieces(answer, 100_000)).end == "refused"


def test_the_cases_are_of_all_kinds() -> None:
    assert {case["end"] for case in CASES} == {"complete", "open", "refused"}
    assert len(CASES) == 64


class Fuzz:
    """Answers that are nearly right."""

    SEEDS = (
        *(case["answer"].encode("latin-1") for case in CASES),
        framed(b'{"data": [{"b64_json": "iVBORw0KGgo="}]}'),
        OK + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" + framed(b"after"),
        framed(b"one") + framed(b"two"),
    )
    TOKENS = (
        *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"0", b"ff", b"-1", b"\xff" * 3),
        *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"chunked"),
        *(b"HTTP/1.1 200 OK\r\n", b"Connection: close\r\n", b"9" * 25, b"A" * 300, b",", b";"),
    )

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def answer(self) -> bytes:
        rng = self._rng
        made = bytearray(rng.choice(self.SEEDS))
        for _ in range(rng.choice((0, 1, 1, 2, 4, 9))):
            at = rng.randrange(len(made) + 1)
            kind = rng.randrange(6)
            if kind == 0:
                made[at:at] = rng.choice(self.TOKENS)
            elif kind == 1:
                del made[at : at + rng.randrange(1, 9)]
            elif kind == 2 and made:
                made[at % len(made)] = rng.randrange(256)
            elif kind == 3:
                del made[at:]
            elif kind == 4:
                made[at:at] = made[: rng.randrange(40)]
            else:
                made[at : at + 1] = rng.choice(self.TOKENS)
        return bytes(made)

    def pieces(self, answer: bytes) -> Iterator[memoryview]:
        whole, at = memoryview(answer), 0
        while at < len(answer):
            size = self._rng.choice((1, 2, 7, 64, 4096))
            yield whole[at : at + size]
            at += size


def announced(answer: bytes) -> int | None:
    """The one length that a head announces, as read by a few lines that share nothing with ours."""
    head = re.split(rb"\n\r?\n", answer, maxsplit=1)[0].lower()
    if b"transfer-encoding" in head or b"upgrade" in head or head.count(b"http/") != 1:
        return None
    if re.match(rb"[^ ]* +1", head):
        return None
    found = re.findall(rb"\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*(?=\r?\n[a-z]|\Z|\r\Z)", head)
    return int(found[0]) if len(found) == head.count(b"content-length") == 1 else None


def test_no_fuzzed_answer_is_a_false_success() -> None:
    """Nor is it read in another way when it comes in other pieces."""
    fuzz = Fuzz(7)
    ends = {"complete": 0, "open": 0, "refused": 0}
    checked = 0
    for _ in range(COUNT):
        answer = fuzz.answer()
        found = read(fuzz.pieces(answer))
        ends[found.end] += 1
        assert read(fuzz.pieces(answer)) == found, answer
        length = announced(answer)
        if found.is_whole and length is not None and found.status not in (101, 204, 304):
            assert len(found.body) == length, answer
            checked += 1
        if found.is_whole and found.end == "complete":
            assert found.status is not None, answer
    assert min(ends.values()) > COUNT // 50
    assert checked > COUNT // 50


def test_an_answer_that_was_read_leaves_no_circle_behind() -> None:
    gc.collect()
    for answer in [framed(b"{}"), b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1"] * 50:
        parser = ResponseParser()
        with suppress(PARSER_ERROR):
            parser.feed(memoryview(answer))
        parser.close()
        del parser
    assert gc.collect() < 50


@pytest.mark.looptime
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_no_fuzzed_answer_hangs_or_is_sent_for_twice(
    tls: bool, authority: Any, ca_file: str
) -> None:
    line = Line(Kind("direct", tls=tls), authority, ca_file)
    fuzz = Fuzz(11)
    for _ in range(COUNT // 60):
        answer = fuzz.answer()
        async with line.serving(answering(answer)) as server:
            got = await line.post(server.url)
        assert got.took < 1, answer
        assert len(server.requests) == 1, answer
        found = read(in_pieces(answer, 100_000))
        if got.error is None:
            assert got.head is not None
            assert (got.head.status, found.is_whole) == (found.status, True), answer
    await line.aclose()
