"""Results in a broken document: each ends at the latest where the next one begins, and no byte of
them is left out, whatever the pieces."""

import json
from itertools import pairwise

import pytest

from nbp_async._base.errors import MalformedReplyError
from nbp_async._batch_api.gemini_batch import GeminiBatch
from nbp_async._batch_api.result_lines import ResultLine
from nbp_async._vendors.profiles import find_profile

GOOGLE = find_profile("google")
TEXT = {"candidates": [{"content": {"parts": [{"text": "[{ no image"}]}, "finishReason": "STOP"}]}
FIRST = json.dumps({"metadata": {"key": "1-1"}, "response": TEXT}).encode()
KEY_LAST = json.dumps({"response": TEXT, "metadata": {"key": "4-1"}}).encode()
BROKEN = b'{"metadata": {"key": "2-1"}, "response": {"candidates": [{"text": "a "bad\\" one"'
REFUSED = b'{"key": "3-1", "error": {"code": 8, "message": "later, [{ please"}}'
BEGIN = b'{"name": "batches/1", "response": {"inlinedResponses": {"inlinedResponses": ['


def read(document: bytes, step: int) -> list[tuple[ResultLine, bytes]]:
    """Each result and its bytes, of a document that comes in pieces of this size."""
    decoder = GeminiBatch().poll_decoder(GOOGLE, salvage=True)
    found: list[tuple[ResultLine, bytes]] = []
    came = b""
    for at in range(0, len(document), step):
        for piece in decoder.feed(document[at : at + step]):
            came += piece.data
            if piece.line is not None:
                found.append((piece.line, came))
                came = b""
    decoder.close()
    if decoder.last is not None:
        found.append((decoder.last, came + decoder.tail))
    assert not decoder.complete
    return found


def shown(found: list[tuple[ResultLine, bytes]]) -> list[tuple[str, str]]:
    return [(line.key, type(line.error).__name__) for line, _ in found]


@pytest.mark.parametrize("step", [1, 7, 64 * 1024])
def test_what_follows_a_broken_result_is_read(step: int) -> None:
    results = [FIRST, BROKEN, REFUSED, KEY_LAST]
    found = read(BEGIN + b" ,\n".join(results) + b"]}}}", step)
    assert shown(found) == [
        ("1-1", "NoImageError"),
        ("2-1", "MalformedReplyError"),
        ("3-1", "RateLimitError"),
        ("4-1", "NoImageError"),
    ]
    assert [data.strip() for _, data in found] == results
    assert {line.position for line, _ in found} == {None}, "nobody can count on their order"


@pytest.mark.parametrize("step", [1, 7, 64 * 1024])
@pytest.mark.parametrize("cut", range(1, len(BROKEN), 9))
def test_a_document_that_ends_within_a_result_loses_none_of_it(cut: int, step: int) -> None:
    (first, _), (last, data) = read(BEGIN + FIRST + b"," + BROKEN[:cut], step)
    assert first.key == "1-1"
    assert isinstance(last.error, MalformedReplyError)
    assert data == BROKEN[:cut]


@pytest.mark.parametrize("step", [1, 7, 64 * 1024])
def test_a_broken_result_is_the_same_wherever_it_is(step: int) -> None:
    """Google sends the array twice: what follows it differs."""
    long = BROKEN + b"a" * 300
    found = read(BEGIN + long + b']}}, "again": [' + long.replace(b": ", b":\n  ") + b"]}", step)
    assert [line.key for line, _ in found] == ["2-1", "2-1"]
    assert found[0][0].checksum == found[1][0].checksum


def test_a_key_is_found_at_the_end_of_what_is_broken() -> None:
    broken = KEY_LAST.replace(b"no image", b'no "image')
    found = read(BEGIN + broken + b"," + FIRST + b"]}}}", 1 << 16)
    assert [(line.key, line.error is not None) for line, _ in found] == [
        ("4-1", True),
        ("1-1", True),
    ]


def test_each_cut_of_a_sound_document_gives_the_results_that_are_whole() -> None:
    document = BEGIN + b",".join([FIRST, REFUSED, KEY_LAST]) + b"]}}}"
    counts = [
        sum(not isinstance(line.error, MalformedReplyError) for line, _ in read(document[:cut], 7))
        for cut in range(len(document) + 1)
    ]
    assert counts[-1] == 3
    assert all(after - before in (0, 1) for before, after in pairwise(counts))
