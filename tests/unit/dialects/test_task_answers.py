"""What the answers of task services mean."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._base.errors import (
    AuthError,
    ContentBlockedError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    TaskFailedError,
)
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._vendors.profiles import Profile
from nbp_async._vendors.services import TaskTable, services
from tests.unit.dialects.helpers import KEY
from tests.unit.dialects.task_helpers import LINK, RELAY, profile, read


@pytest.mark.parametrize(
    ("name", "submitted", "handle"),
    [
        ("article", {"task_id": "t-1", "status": "pending"}, Handle("task", "t-1")),
        (
            "article",
            {"status": "processing", "task_id": "t-1", "message": "x"},
            Handle("task", "t-1"),
        ),
        ("comfly", {"task_id": "t-1"}, Handle("task", "t-1")),
        (
            "sub2api",
            {
                "id": "imgtask_1",
                "task_id": "imgtask_1",
                "object": "image.generation.task",
                "status": "processing",
                "poll_url": "/v1/images/tasks/imgtask_1",
            },
            Handle("task", "imgtask_1"),
        ),
        (
            "bifrost",
            {"id": "j-1", "status": "pending", "created_at": "2026-11-01T00:00:00Z"},
            Handle("task", "j-1"),
        ),
        (
            "evolink",
            {
                "id": "task-unified-1",
                "object": "image.generation.task",
                "status": "pending",
                "progress": 0,
            },
            Handle("task", "task-unified-1"),
        ),
        ("kie", {"code": 200, "msg": "success", "data": {"taskId": "k1"}}, Handle("task", "k1")),
        (
            "fal",
            {
                "request_id": "r1",
                "status": "IN_QUEUE",
                "response_url": "https://queue.fal.run/fal-ai/x/requests/r1",
                "status_url": "https://queue.fal.run/fal-ai/x/requests/r1/status",
                "cancel_url": "https://queue.fal.run/fal-ai/x/requests/r1/cancel",
            },
            Handle(
                "task",
                "r1",
                look="https://queue.fal.run/fal-ai/x/requests/r1/status",
                cancel="https://queue.fal.run/fal-ai/x/requests/r1/cancel",
                result="https://queue.fal.run/fal-ai/x/requests/r1",
            ),
        ),
        (
            "replicate",
            {
                "id": "p1",
                "status": "starting",
                "output": None,
                "urls": {"get": "https://api.replicate.com/v1/predictions/p1"},
            },
            Handle("task", "p1", look="https://api.replicate.com/v1/predictions/p1"),
        ),
        ("google-interactions", {"id": "i1", "status": "in_progress"}, Handle("task", "i1")),
    ],
)
def test_a_submit_gives_what_to_ask_for_it_by(name: str, submitted: Any, handle: Handle) -> None:
    answer = read(TaskImages(profile(name)), submitted)
    assert (answer.handle, answer.images, answer.links) == (handle, (), ())


@pytest.mark.parametrize(
    ("name", "pending", "done"),
    [
        (
            "article",
            {"task_id": "t", "status": "processing", "progress": 40},
            {"task_id": "t", "status": "completed", "result": {"data": [{"url": LINK}]}},
        ),
        (
            "comfly",
            {"task_id": "t", "data": {"status": "IN_PROGRESS"}},
            {"task_id": "t", "data": {"status": "SUCCESS", "data": {"data": [{"url": LINK}]}}},
        ),
        (
            "sub2api",
            {"task_id": "t", "status": "processing"},
            {"task_id": "t", "status": "completed", "result": {"data": [{"url": LINK}]}},
        ),
        (
            "bifrost",
            {"id": "t", "status": "processing"},
            {"id": "t", "status": "completed", "result": {"data": [{"url": LINK}]}},
        ),
        (
            "evolink",
            {"id": "t", "status": "processing"},
            {"id": "t", "status": "completed", "results": [LINK]},
        ),
        (
            "kie",
            {"code": 200, "data": {"taskId": "t", "state": "generating", "resultJson": ""}},
            {
                "code": 200,
                "data": {
                    "taskId": "t",
                    "state": "success",
                    "resultJson": json.dumps({"resultUrls": [LINK]}),
                },
            },
        ),
        (
            "fal",
            {"request_id": "t", "status": "IN_PROGRESS", "logs": None},
            {"images": [{"url": LINK, "content_type": "image/png"}], "description": ""},
        ),
        (
            "replicate",
            {"id": "t", "status": "processing", "output": None},
            {"id": "t", "status": "succeeded", "output": LINK},
        ),
        (
            "replicate",
            {"id": "t", "status": "starting"},
            {"id": "t", "status": "succeeded", "output": [LINK]},
        ),
        (
            "google-interactions",
            {"id": "t", "status": "queued"},
            {
                "id": "t",
                "status": "completed",
                "steps": [
                    {"type": "thought"},
                    {"type": "model_output", "content": [{"type": "image", "uri": LINK}]},
                ],
            },
        ),
    ],
)
def test_a_look_says_wait_or_gives_the_result(name: str, pending: Any, done: Any) -> None:
    dialect, handle = TaskImages(profile(name)), Handle("task", "t")
    answer = read(dialect, pending, handle)
    assert answer.handle is not None
    assert answer.handle.id == "t"
    assert read(dialect, done, handle).links == (LINK,)


def test_where_the_result_is_elsewhere_that_is_asked_next() -> None:
    url = "https://queue.fal.run/fal-ai/x/requests/r1"
    handle = Handle("task", "r1", look=f"{url}/status", result=url)
    answer = read(TaskImages(profile("fal")), {"status": "COMPLETED"}, handle)
    assert answer.handle is not None
    assert (answer.handle.look, answer.eta) == (url, 0.0)
    request = TaskImages(profile("fal")).poll(answer.handle, "x", KEY)
    assert (request.method, request.url) == ("GET", url)
    assert request.headers["Authorization"] == f"Key {KEY}"


@pytest.mark.parametrize("cuts", [1, 2, 7, 1000])
def test_a_result_of_megabytes_streams_past_the_document(cuts: int) -> None:
    text = "QUJD" * 50_000
    document = json.dumps(
        {"task_id": "t", "status": "completed", "result": {"data": [{"b64_json": text}]}}
    ).encode()
    decoder = TaskImages(RELAY).poll_decoder(Handle("task", "t"))
    step = max(1, len(document) // cuts)
    parts = [
        part
        for start in range(0, len(document), step)
        for part in decoder.feed(document[start : start + step])
    ]
    assert decoder.close().images == (0,)
    assert b"".join(getattr(part, "text", b"") for part in parts).decode() == text


@pytest.mark.parametrize(
    ("name", "document", "kind", "billing"),
    [
        (
            "article",
            {"task_id": "t", "status": "failed", "error": "no capacity"},
            TaskFailedError,
            "maybe",
        ),
        (
            "evolink",
            {
                "id": "t",
                "status": "failed",
                "error": {"code": "resource_exhausted", "message": "busy"},
            },
            TaskFailedError,
            "maybe",
        ),
        (
            "evolink",
            {
                "id": "t",
                "status": "failed",
                "error": {"code": "content_policy_violation", "message": "no"},
            },
            ContentBlockedError,
            "yes",
        ),
        (
            "kie",
            {
                "code": 200,
                "data": {"taskId": "t", "state": "fail", "failCode": "500", "failMsg": "internal"},
            },
            TaskFailedError,
            "maybe",
        ),
        ("kie", {"code": 402, "msg": "insufficient credits"}, AuthError, "no"),
        (
            "fal",
            {
                "status": "COMPLETED",
                "request_id": "t",
                "error": "boom",
                "error_type": "runner_error",
            },
            TaskFailedError,
            "no",
        ),
        ("replicate", {"id": "t", "status": "canceled"}, TaskFailedError, "maybe"),
        (
            "article",
            {"task_id": "t", "status": "completed", "result": {"data": []}},
            NoImageError,
            "yes",
        ),
        (
            "article",
            {"task_id": "other", "status": "completed", "result": {"data": [{"url": LINK}]}},
            MalformedReplyError,
            "yes",
        ),
        ("article", {"task_id": "t", "status": "half-baked"}, MalformedReplyError, "yes"),
    ],
)
def test_what_goes_wrong_has_its_own_error(
    name: str, document: Any, kind: type[NbpError], billing: str
) -> None:
    with pytest.raises(kind) as caught:
        read(TaskImages(profile(name)), document, Handle("task", "t"))
    assert type(caught.value) is kind
    assert caught.value.billing == billing


ACME = TaskImages(
    Profile(
        name="acme",
        base_url="https://acme.example/v2",
        tasks=TaskTable(
            submit="/jobs",
            look="/jobs/{id}",
            id=("task.id",),
            state=("job.status",),
            links=("job.output[].url",),
        ),
    )
)


@pytest.mark.parametrize(
    ("document", "before", "kind", "words"),
    [
        ({"job": {"id": "j1"}}, None, MalformedReplyError, "no id at task.id; it has job.id"),
        (
            {"job": {"status": "done", "output": [{"href": LINK}, {"href": LINK}]}},
            Handle("task", "j1"),
            NoImageError,
            "no image at job.output[].url; it has job.status, job.output[].href.",
        ),
        (
            {"job": {"status": "baking"}},
            Handle("task", "j1"),
            MalformedReplyError,
            "the task is 'baking', which is not among the pending, done and failed states of acme",
        ),
        ({}, None, MalformedReplyError, "no id at task.id; it has nothing"),
    ],
)
def test_a_table_that_does_not_fit_is_told_what_the_answer_has(
    document: object, before: Handle | None, kind: type[NbpError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        read(ACME, document, before)
    assert words in str(caught.value)


@pytest.mark.parametrize("word", ["working", "Rendering", "ACCEPTED"])
def test_the_usual_words_for_work_are_known(word: str) -> None:
    assert read(ACME, {"job": {"status": word}}, Handle("task", "j1")).handle == Handle(
        "task", "j1"
    )


@pytest.mark.parametrize("word", ["rejected", "Timed_Out"])
def test_the_usual_words_for_a_failure_are_known(word: str) -> None:
    with pytest.raises(TaskFailedError):
        read(ACME, {"job": {"status": word}}, Handle("task", "j1"))


def test_an_answer_however_deep_and_wide_is_named_in_short() -> None:
    deep: object = {f"n{number}": 1 for number in range(5000)}
    for _ in range(400):
        deep = {"a": [deep]}
    with pytest.raises(MalformedReplyError) as caught:
        read(ACME, {"first": deep} | {f"k{number}": number for number in range(50)})
    assert "k0" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_submit_without_an_id_is_no_task() -> None:
    with pytest.raises(MalformedReplyError, match="no id"):
        read(TaskImages(RELAY), {"status": "pending"})


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/r1",
        "http://queue.fal.run/r1",
        "https://queue.fal.run:444/r1",
        "https://queue.fal.run@evil.example/r1",
    ],
)
def test_the_key_goes_to_no_other_host(url: str) -> None:
    with pytest.raises(MalformedReplyError, match="the key is sent to"):
        read(TaskImages(profile("fal")), {"request_id": "r", "status_url": url})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "status",
                    "data",
                    "task_id",
                    "id",
                    "result",
                    "url",
                    "error",
                    "urls",
                    "code",
                    "state",
                    "output",
                    "results",
                    "resultJson",
                    "get",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from(sorted(services())), st.booleans())
def test_no_document_breaks_it(document: Any, name: str, submit: bool) -> None:
    dialect = TaskImages(profile(name))
    try:
        answer = read(dialect, document, None if submit else Handle("task", "t"))
    except NbpError:
        return
    assert answer.handle is not None or answer.links or answer.images
