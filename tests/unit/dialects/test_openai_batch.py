"""OpenAI's batch API: what is asked, and what its answers say, however strange they are."""

import base64
import contextlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._base.errors import (
    ConfigError,
    InvalidRequestError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    RateLimitError,
    TaskFailedError,
)
from nbp_async._batch_api.openai_batch import OpenAIBatch
from nbp_async._models.outcomes import Job, Prompt, Reference
from nbp_async._vendors.profiles import PROFILES
from nbp_async._vendors.sizes import canvas_for
from tests.unit.dialects.test_gemini_batch import read

OPENAI = PROFILES["openai"]
BATCH = OpenAIBatch()
STATUS = "validating failed in_progress finalizing completed expired cancelling cancelled new"


def job(text: str = "a bicycle") -> Job:
    canvas = canvas_for("gpt-image-2", "1024x1024", None)
    return Job(0, Prompt(text), 0, "gpt-image-2", canvas, Decimal(1), Decimal(1))


def result(key: str, status: object = 200, **more: Any) -> dict[str, Any]:
    body = {"data": [{"b64_json": base64.b64encode(f"image {key}".encode()).decode()}]}
    response = {"status_code": status, "request_id": "r", "body": body} | more
    return {"id": "batch_req_1", "custom_id": key, "response": response, "error": None}


def test_a_line_is_a_request_to_one_address() -> None:
    picture = Reference("image/png", b"picture")
    for references, path in (((), "generations"), ((picture,), "edits")):
        line = BATCH.line(job(), OPENAI, references, "7-1")
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
        said = msgspec.json.decode(line)
        assert (said["custom_id"], said["method"]) == ("7-1", "POST")
        assert said["url"] == f"/v1/images/{path}" == BATCH.address(job(), OPENAI, references)
        assert said["body"]["prompt"] == "a bicycle"
        assert ("images" in said["body"]) == bool(references)
    assert said["body"]["images"] == [{"image_url": "data:image/png;base64,cGljdHVyZQ=="}]


def test_a_reference_that_no_api_takes_is_refused() -> None:
    with pytest.raises(ConfigError, match="Nothing was sent"):
        BATCH.line(job(), OPENAI, (Reference("image/png", b"", "gs://bucket/a"),), "1")


def test_lines_go_up_whole_and_as_they_are() -> None:
    lines = [BATCH.line(job(f"a {n}"), OPENAI, (), f"{n}-1") for n in range(3)]
    asked = BATCH.upload(OPENAI, "sk-1", "ours", lines)
    assert asked.url == "https://api.openai.com/v1/files"
    assert b"".join(lines) in asked.body
    assert b'name="purpose"\r\n\r\nbatch\r\n' in asked.body
    assert b'filename="ours.jsonl"' in asked.body
    assert BATCH.resumable is None
    assert not BATCH.fits_inline(lines)


def test_a_job_is_created_under_our_name() -> None:
    asked = BATCH.create(
        OPENAI, "sk-1", name="ours", address="/v1/images/edits", source="file-1", callback=""
    )
    assert asked.url == "https://api.openai.com/v1/batches"
    assert msgspec.json.decode(asked.body) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/images/edits",
        "completion_window": "24h",
        "metadata": {"name": "ours"},
    }


@pytest.mark.parametrize("status", STATUS.split())
def test_how_a_job_stands(status: str) -> None:
    found = BATCH.read_status(
        {
            "id": "batch_1",
            "status": status,
            "metadata": {"name": "ours"},
            "output_file_id": "file-o",
            "error_file_id": None,
            "expires_at": 1_700_086_400,
            "request_counts": {"total": 3, "completed": 2, "failed": 1},
            "errors": {"data": [{"code": "x", "message": "no model", "line": 2}]},
        }
    )
    over = {"completed": "done", "failed": "failed", "expired": "expired", "cancelled": "cancelled"}
    assert (found.id, found.name, found.state) == ("batch_1", "ours", over.get(status, "open"))
    assert found.files == ("file-o",)
    assert found.counts == (3, 2, 1)
    assert found.error == "no model (line 2)"
    assert found.expires == 1_700_086_400


def test_all_jobs_are_listed_page_by_page() -> None:
    one = {"id": "batch_1", "metadata": {"name": "ours"}}
    page = BATCH.read_listing({"data": [one, {"id": "batch_2"}], "has_more": True})
    assert [job.name for job in page.jobs] == ["ours", ""]
    assert page.next == "batch_2"
    assert BATCH.read_listing({"data": [one], "has_more": False}).next == ""
    assert BATCH.read_listing({"data": [], "has_more": True}).next == "", "or it would have no end"
    assert "after=batch_2" in BATCH.list_jobs(OPENAI, "sk-1", page.next).url


@given(cuts=st.lists(st.integers(0, 5000), max_size=8))
def test_results_are_joined_by_key_and_a_bad_one_costs_no_other(cuts: list[int]) -> None:
    late = {"code": "batch_expired", "message": "not done within 24h"}
    error = {"error": {"message": "too many", "code": "rate_limit_exceeded"}}
    lines: list[object] = [
        result("a"),
        result("b", 429, body=error),
        result("c", body={"data": []}),
        {"custom_id": "d", "response": None, "error": late},
        {"custom_id": "e"},
        result("f", "200"),
        result("g", 400, body=error),
        result("h"),
    ]
    data = b"{nonsense\n" + b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    found = read(data, cuts, BATCH.result_decoder(OPENAI))
    assert (found.pop("a"), found.pop("h")) == (b"image a", b"image h")
    late_one = found["d"]
    assert isinstance(late_one, TaskFailedError)
    assert (late_one.billing, late_one.is_transient) == ("no", True)
    assert {key: type(error) for key, error in found.items()} == {
        "": MalformedReplyError,
        "b": RateLimitError,
        "c": NoImageError,
        "d": TaskFailedError,
        "e": MalformedReplyError,
        "f": MalformedReplyError,
        "g": InvalidRequestError,
    }


def test_what_was_not_done_when_its_job_was_cancelled_is_not_sent_again() -> None:
    said = {"custom_id": "a", "response": None, "error": {"code": "batch_cancelled"}}
    (error,) = read(msgspec.json.encode(said), [], BATCH.result_decoder(OPENAI)).values()
    assert isinstance(error, TaskFailedError)
    assert (error.billing, error.is_transient) == ("no", False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "status",
                    "data",
                    "error",
                    "errors",
                    "response",
                    "body",
                    "metadata",
                    "custom_id",
                    "status_code",
                    "name",
                    "message",
                    "line",
                    "code",
                    "request_counts",
                    "output_file_id",
                    "expires_at",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(document=JSON)
def test_nothing_that_a_vendor_says_is_a_surprise(document: object) -> None:
    BATCH.read_status(document)
    BATCH.read_listing(document)
    BATCH.read_file_name(document)
    with contextlib.suppress(NbpError):
        read(msgspec.json.encode(document) + b"\n", [], BATCH.result_decoder(OPENAI))


@pytest.mark.parametrize("name", ["", "../models", "a?b", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(MalformedReplyError):
        BATCH.poll(OPENAI, "key", name)
