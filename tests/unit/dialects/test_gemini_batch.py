"""Google's batch API: what is asked, and results in any order, cut anywhere."""

import base64
import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._base.errors import (
    ContentBlockedError,
    MalformedReplyError,
    NbpError,
    RateLimitError,
    TruncatedError,
)
from nbp_async._base.http import ReplyHead
from nbp_async._batch_api.gemini_batch import GeminiBatch
from nbp_async._batch_api.result_lines import ResultDecoder, ResultLine
from nbp_async._dialects.base import ImageText, Part
from nbp_async._vendors.profiles import PROFILES

GOOGLE = PROFILES["google"]
BATCH = GeminiBatch()


def answered(key: str, image: bytes, *, key_last: bool = False) -> bytes:
    data = base64.b64encode(image).decode()
    part = {"inlineData": {"mimeType": "image/png", "data": data}}
    response = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    line = {"key": key, "response": response}
    return msgspec.json.encode(dict(reversed(line.items())) if key_last else line)


def read(
    data: bytes, cuts: list[int], lines: ResultDecoder | None = None
) -> dict[str, bytes | NbpError]:
    """All results by key: the image's bytes, or the error."""
    lines = lines or BATCH.result_decoder(GOOGLE)
    found: dict[str, bytes | NbpError] = {}
    texts: dict[int, bytes] = {}

    def end(line: ResultLine) -> None:
        if line.answer is None:
            assert line.error is not None
            found[line.key] = line.error
        else:
            found[line.key] = base64.b64decode(texts[line.answer.images[0]])
        texts.clear()

    def take(parts: list[Part]) -> None:
        for part in parts:
            if isinstance(part, ImageText):
                texts[part.image] = texts.get(part.image, b"") + part.text

    at = 0
    for cut in [*sorted(c % (len(data) + 1) for c in cuts), len(data)]:
        for _, parts, line in lines.feed(data[at:cut]):
            take(parts)
            if line is not None:
                end(line)
        at = cut
    lines.close()
    if lines.last is not None:
        end(lines.last)
    return found


@given(
    images=st.dictionaries(st.text("abk19-", min_size=1), st.binary(min_size=1), max_size=6),
    key_last=st.booleans(),
    ends=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    open_end=st.booleans(),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_lines_are_joined_by_key_wherever_they_are_cut(
    images: dict[str, bytes],
    key_last: bool,
    ends: bytes,
    open_end: bool,
    cuts: list[int],
    order: "object",
) -> None:
    lines = [answered(key, image, key_last=key_last) for key, image in images.items()]
    order.shuffle(lines)  # type: ignore[attr-defined]
    data = ends.join(lines) + (b"" if open_end else ends)
    assert read(data, cuts) == images


@given(cuts=st.lists(st.integers(0, 5000), max_size=8))
def test_a_bad_line_costs_no_other(cuts: list[int]) -> None:
    error = b'{"key":"b","error":{"code":8,"message":"busy","status":"RESOURCE_EXHAUSTED"}}'
    other = b'{"key":"d","status":{"code":429,"message":"busy"}}'
    blocked = b'{"key":"c","response":{"promptFeedback":{"blockReason":"SAFETY"}}}'
    parts = [b"{nonsense", answered("a", b"an image"), error, blocked, other, b'{"key":"e"}']
    found = read(b"\n".join(parts) + b"\n", cuts)
    assert found.pop("a") == b"an image"
    kinds = {key: type(error) for key, error in found.items()}
    assert kinds == {
        "": MalformedReplyError,
        "b": RateLimitError,
        "c": ContentBlockedError,
        "d": RateLimitError,
        "e": MalformedReplyError,
    }


@given(
    images=st.dictionaries(st.text(min_size=1), st.binary(min_size=1), max_size=6),
    names=st.sampled_from(["inlinedResponses", "inlined_responses"]),
    indent=st.sampled_from([None, 2]),
    ends=st.booleans(),
    more=st.text(),
    cuts=st.lists(st.integers(0, 9000), max_size=14),
)
def test_results_within_an_answer_are_handed_on_one_by_one(
    images: dict[str, bytes],
    names: str,
    indent: int | None,
    ends: bool,
    more: str,
    cuts: list[int],
) -> None:
    results: list[object] = [
        msgspec.json.decode(answered("", image)) | {"metadata": {"key": key, "more": more}}
        for key, image in images.items()
    ]
    told = {
        "name": "batches/abc",
        "done": ends,
        "metadata": {"state": "BATCH_STATE_SUCCEEDED", "displayName": f'{more}"{names}":[{{'},
        "response": {names: {names: results}, "more": more},
    }
    data = json.dumps(told, indent=indent, ensure_ascii=ends).encode()
    answer = BATCH.poll_decoder(GOOGLE)
    assert read(data, cuts, answer) == images
    assert answer.complete
    found = BATCH.read_status(answer.document)
    assert (found.id, found.state) == ("batches/abc", "done")
    assert found.name.endswith(f'"{names}":[{{')


@given(cuts=st.lists(st.integers(0, 5000), max_size=8), end=st.integers(0, 5000))
def test_results_before_the_end_of_a_cut_answer_are_whole(cuts: list[int], end: int) -> None:
    line = answered("a", b"one image")
    data = b'{"response":{"inlinedResponses":{"inlinedResponses":[%b,%b]}}}' % (line, line)
    data = data[: min(end, len(data) - 1)]
    answer = BATCH.poll_decoder(GOOGLE)
    found = []
    at = 0
    for cut in [*sorted(c % (len(data) + 1) for c in cuts), len(data)]:
        found += answer.feed(data[at:cut])
        at = cut
    assert [piece.line.key for piece in found if piece.line is not None] == ["a"] * data.count(line)
    assert not answer.complete
    if data:
        with pytest.raises(TruncatedError):
            answer.close()


@pytest.mark.parametrize(
    "results",
    [
        b"1",
        b'"{"',
        b"null,null",
        b"[]",
        b"{}}",
        b'{"a":"}"',
        b'{"a":[}]}',
        b"{nonsense}",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_an_array_of_something_else_says_so_or_nothing(results: bytes, size: int) -> None:
    data = b'{"response":{"inlinedResponses":[%b]}}' % results
    answer = BATCH.poll_decoder(GOOGLE)
    with contextlib.suppress(MalformedReplyError):
        for at in range(0, len(data), size):
            for _, _, line in answer.feed(data[at : at + size]):
                assert line is None or isinstance(line.error, MalformedReplyError)
        answer.close()


def test_a_file_that_ends_within_a_line_is_said_to() -> None:
    lines = BATCH.result_decoder(GOOGLE)
    whole = answered("a", b"one image")
    found = lines.feed(whole + b"\n" + whole[: len(whole) // 2])
    assert [line.key for _, _, line in found if line is not None] == ["a"]
    with pytest.raises(TruncatedError):
        lines.close()


@pytest.mark.parametrize("prefix", ["BATCH_STATE_", "JOB_STATE_"])
@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("PENDING", "open"),
        ("QUEUED", "open"),
        ("RUNNING", "open"),
        ("CANCELLING", "open"),
        ("PAUSED", "open"),
        ("SUCCEEDED", "done"),
        ("PARTIALLY_SUCCEEDED", "done"),
        ("FAILED", "failed"),
        ("CANCELLED", "cancelled"),
        ("EXPIRED", "expired"),
    ],
)
def test_states_are_read_under_both_prefixes(prefix: str, state: str, standing: str) -> None:
    told = {
        "name": "batches/abc",
        "metadata": {
            "state": prefix + state,
            "displayName": "ours",
            "batchStats": {"requestCount": "7", "successfulRequestCount": "5"},
        },
        "response": {"responsesFile": "files/batch-abc"},
    }
    found = BATCH.read_status(told)
    assert (found.id, found.name, found.state) == ("batches/abc", "ours", standing)
    assert found.files == ("files/batch-abc",)
    assert found.counts == (7, 5, 0)


def test_lines_within_a_creation_are_those_of_a_file() -> None:
    words = [',"request":{}}', "two\nlines \u2028 and \x85", 'a "quoted" {one']
    lines = [
        {"key": f"{number}-1", "request": {"contents": [{"parts": [{"text": text}]}]}}
        for number, text in enumerate(words)
    ]
    source = [msgspec.json.encode(line) + b"\n" for line in lines]
    asked = BATCH.create(GOOGLE, "key", name="ours", address="/m:batch", source=source, callback="")
    said = msgspec.json.decode(asked.body)["batch"]
    assert said["displayName"] == "ours"
    assert said["inputConfig"]["requests"]["requests"] == [
        {"metadata": {"key": line["key"]}, "request": line["request"]} for line in lines
    ]


def test_an_upload_to_another_host_is_not_begun() -> None:
    there = "https://elsewhere.example/upload?id=1"
    with pytest.raises(MalformedReplyError):
        BATCH.upload_url(ReplyHead(200, {"x-goog-upload-url": there}), GOOGLE)


@pytest.mark.parametrize("name", ["", "batches/", "batches/../models", "files/a?b", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(MalformedReplyError):
        BATCH.poll(GOOGLE, "key", name)


@pytest.mark.parametrize(
    ("created", "expires"),
    [
        ("1970-01-01T00:00:10Z", 10.0 + 48 * 3600),
        ("1970-01-01T00:00:10.123456789Z", 10.123456 + 48 * 3600),
        ("1970-01-01T01:00:10+01:00", 10.0 + 48 * 3600),
        ("1970-01-01T00:00:10", 0.0),
        ("soon", 0.0),
        (7, 0.0),
        (None, 0.0),
    ],
)
def test_a_job_is_given_up_48_hours_after_its_creation(created: object, expires: float) -> None:
    job = {"name": "batches/a", "metadata": {"state": "BATCH_STATE_RUNNING", "createTime": created}}
    assert BATCH.read_status(job).expires == pytest.approx(expires)
