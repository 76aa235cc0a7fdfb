"""What each task service is asked, and what its answers mean."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._dialects.base import Answer
from nbp_async._dialects.tasks import TaskImages
from nbp_async._errors import (
    AuthError,
    ConfigError,
    ContentBlockedError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    TaskFailedError,
)
from nbp_async._handle import Handle
from nbp_async._profiles import Profile, find_profile
from nbp_async._services import TaskTable, services
from tests.unit.dialects.test_dialects import KEY, PNG, body_of, job

RELAY = Profile(
    name="relay", base_url="https://relay.example/v1", tasks=services()["article"].tasks,
    response_format="url",
)  # fmt: skip
LINK = "https://img.example/a.png"
BACK = "https://me.example/hook"


def profile(name: str) -> Profile:
    return RELAY if name == "article" else find_profile(name)


def read(dialect: TaskImages, document: object, before: Handle | None = None) -> Answer:
    decoder = dialect.decoder() if before is None else dialect.look_decoder(before)
    decoder.feed(json.dumps(document).encode())
    return decoder.close()


def asked(name: str, *references: Any, callback: str = "", **options: Any) -> tuple[str, Any]:
    own = profile(name)
    request = TaskImages(own, callback).encode(
        job(**({"model": own.model} | options)), own, references, KEY
    )
    assert request.method == "POST"
    assert KEY in str(request.headers)
    assert KEY not in repr(request)
    return request.url, body_of(request)


def test_the_article_is_asked_as_for_a_held_call_and_told_where_to_call_back() -> None:
    url, body = asked("article", callback=BACK, extra={"quality": "high"})
    assert url == "https://relay.example/v1/images/generations/async"
    assert body == {
        "model": "nano-banana-pro", "prompt": "a red bicycle", "n": 1, "size": "2752x1536",
        "response_format": "url", "quality": "high", "webhook_url": BACK,
    }  # fmt: skip
    assert "webhook_url" not in asked("article")[1]
    assert asked("article", extra={"quality": "high"})[1]["quality"] == "high"


def test_references_go_where_each_service_has_them() -> None:
    own = profile("article")
    request = TaskImages(own).encode(job(), own, (PNG,), KEY)
    assert request.url.endswith("/images/edits/async")
    assert b"multipart" in request.headers["Content-Type"].encode()
    url, body = asked("kie", PNG)
    assert url == "https://api.kie.ai/api/v1/jobs/createTask"
    assert body["input"]["image_input"][0].startswith("data:image/png;base64,iVBOR"[:22])
    assert asked("fal", PNG)[0] == "https://queue.fal.run/fal-ai/nano-banana-pro/edit"


@pytest.mark.parametrize(
    ("name", "url", "body"),
    [
        ("comfly", "https://ai.comfly.chat/v1/images/generations?async=true",
         {"model": "nano-banana-pro", "prompt": "a red bicycle", "n": 1, "image_size": "2K",
          "aspect_ratio": "16:9", "response_format": "url"}),
        ("evolink", "https://api.evolink.ai/v1/images/generations",
         {"model": "nano-banana-pro", "prompt": "a red bicycle", "size": "16:9", "quality": "2K",
          "callback_url": BACK}),
        ("kie", "https://api.kie.ai/api/v1/jobs/createTask",
         {"model": "nano-banana-pro", "callBackUrl": BACK,
          "input": {"prompt": "a red bicycle", "aspect_ratio": "16:9", "resolution": "2K",
                    "output_format": "png"}}),
        ("fal", ("https://queue.fal.run/fal-ai/nano-banana-pro?fal_webhook=https%3A%2F%2Fme.example"
         "%2Fhook"),
         {"prompt": "a red bicycle", "aspect_ratio": "16:9", "resolution": "2K", "num_images": 1,
          "output_format": "png"}),
        ("replicate", "https://api.replicate.com/v1/models/google/nano-banana-pro/predictions",
         {"webhook": BACK, "input": {"prompt": "a red bicycle", "aspect_ratio": "16:9",
                                     "resolution": "2K", "output_format": "png"}}),
        ("google-interactions", "https://generativelanguage.googleapis.com/v1beta/interactions",
         {"model": "gemini-3-pro-image", "input": "a red bicycle", "background": True,
          "store": True, "webhook_config": {"uris": [BACK]},
          "response_format": {"type": "image", "aspect_ratio": "16:9", "image_size": "2K",
                              "delivery": "inline"}}),
    ],
)  # fmt: skip
def test_each_service_is_asked_by_its_table(name: str, url: str, body: Any) -> None:
    assert asked(name, callback=BACK) == (url, body)


def test_the_extra_fields_of_a_prompt_go_into_the_part_that_has_them() -> None:
    assert asked("kie", extra={"seed": 3})[1]["input"]["seed"] == 3
    assert asked("evolink", extra={"seed": 3})[1]["seed"] == 3


@pytest.mark.parametrize(
    ("name", "submitted", "handle"),
    [
        ("article", {"task_id": "t-1", "status": "pending"}, Handle("task", "t-1")),
        ("article", {"status": "processing", "task_id": "t-1", "message": "x"},
         Handle("task", "t-1")),
        ("comfly", {"task_id": "t-1"}, Handle("task", "t-1")),
        ("evolink", {"id": "task-unified-1", "object": "image.generation.task",
                     "status": "pending", "progress": 0}, Handle("task", "task-unified-1")),
        ("kie", {"code": 200, "msg": "success", "data": {"taskId": "k1"}}, Handle("task", "k1")),
        ("fal", {"request_id": "r1", "status": "IN_QUEUE",
                 "response_url": "https://queue.fal.run/fal-ai/x/requests/r1",
                 "status_url": "https://queue.fal.run/fal-ai/x/requests/r1/status",
                 "cancel_url": "https://queue.fal.run/fal-ai/x/requests/r1/cancel"},
         Handle("task", "r1", look="https://queue.fal.run/fal-ai/x/requests/r1/status",
                cancel="https://queue.fal.run/fal-ai/x/requests/r1/cancel",
                result="https://queue.fal.run/fal-ai/x/requests/r1")),
        ("replicate", {"id": "p1", "status": "starting", "output": None,
                       "urls": {"get": "https://api.replicate.com/v1/predictions/p1"}},
         Handle("task", "p1", look="https://api.replicate.com/v1/predictions/p1")),
        ("google-interactions", {"id": "i1", "status": "in_progress"}, Handle("task", "i1")),
    ],
)  # fmt: skip
def test_a_submit_gives_what_to_ask_for_it_by(name: str, submitted: Any, handle: Handle) -> None:
    answer = read(TaskImages(profile(name)), submitted)
    assert (answer.handle, answer.images, answer.links) == (handle, (), ())


@pytest.mark.parametrize(
    ("name", "pending", "done"),
    [
        ("article", {"task_id": "t", "status": "processing", "progress": 40},
         {"task_id": "t", "status": "completed", "result": {"data": [{"url": LINK}]}}),
        ("comfly", {"task_id": "t", "data": {"status": "IN_PROGRESS"}},
         {"task_id": "t", "data": {"status": "SUCCESS", "data": {"data": [{"url": LINK}]}}}),
        ("evolink", {"id": "t", "status": "processing"},
         {"id": "t", "status": "completed", "results": [LINK]}),
        ("kie", {"code": 200, "data": {"taskId": "t", "state": "generating", "resultJson": ""}},
         {"code": 200, "data": {"taskId": "t", "state": "success",
                                "resultJson": json.dumps({"resultUrls": [LINK]})}}),
        ("fal", {"request_id": "t", "status": "IN_PROGRESS", "logs": None},
         {"images": [{"url": LINK, "content_type": "image/png"}], "description": ""}),
        ("replicate", {"id": "t", "status": "processing", "output": None},
         {"id": "t", "status": "succeeded", "output": LINK}),
        ("replicate", {"id": "t", "status": "starting"},
         {"id": "t", "status": "succeeded", "output": [LINK]}),
        ("google-interactions", {"id": "t", "status": "queued"},
         {"id": "t", "status": "completed", "steps": [
             {"type": "thought"},
             {"type": "model_output", "content": [{"type": "image", "uri": LINK}]}]}),
    ],
)  # fmt: skip
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
    request = TaskImages(profile("fal")).look(answer.handle, "x", KEY)
    assert (request.method, request.url) == ("GET", url)
    assert request.headers["Authorization"] == f"Key {KEY}"


@pytest.mark.parametrize("cuts", [1, 2, 7, 1000])
def test_a_result_of_megabytes_streams_past_the_document(cuts: int) -> None:
    text = "QUJD" * 50_000
    document = json.dumps(
        {"task_id": "t", "status": "completed", "result": {"data": [{"b64_json": text}]}}
    ).encode()
    decoder = TaskImages(RELAY).look_decoder(Handle("task", "t"))
    step = max(1, len(document) // cuts)
    parts = [
        part
        for start in range(0, len(document), step)
        for part in decoder.feed(document[start : start + step])
    ]
    assert decoder.close().images == (0,)
    assert b"".join(getattr(part, "text", b"") for part in parts).decode() == text


@pytest.mark.parametrize(
    ("name", "document", "kind", "who"),
    [
        ("article", {"task_id": "t", "status": "failed", "error": "no capacity"},
         TaskFailedError, "maybe"),
        ("evolink", {"id": "t", "status": "failed",
                     "error": {"code": "resource_exhausted", "message": "busy"}},
         TaskFailedError, "maybe"),
        ("evolink", {"id": "t", "status": "failed",
                     "error": {"code": "content_policy_violation", "message": "no"}},
         ContentBlockedError, None),
        ("kie", {"code": 200, "data": {"taskId": "t", "state": "fail", "failCode": "500",
                                       "failMsg": "internal"}}, TaskFailedError, "maybe"),
        ("kie", {"code": 402, "msg": "insufficient credits"}, AuthError, None),
        ("fal", {"status": "COMPLETED", "request_id": "t", "error": "boom",
                 "error_type": "runner_error"}, TaskFailedError, "no"),
        ("replicate", {"id": "t", "status": "canceled"}, TaskFailedError, "maybe"),
        ("article", {"task_id": "t", "status": "completed", "result": {"data": []}},
         NoImageError, None),
        ("article", {"task_id": "other", "status": "completed",
                     "result": {"data": [{"url": LINK}]}}, MalformedReplyError, None),
        ("article", {"task_id": "t", "status": "half-baked"}, MalformedReplyError, None),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_its_own_error(
    name: str, document: Any, kind: type[NbpError], who: str | None
) -> None:
    with pytest.raises(kind) as caught:
        read(TaskImages(profile(name)), document, Handle("task", "t"))
    assert type(caught.value) is kind
    assert getattr(caught.value, "who", None) == who


ACME = TaskImages(
    Profile(
        name="acme",
        base_url="https://acme.example/v2",
        tasks=TaskTable(
            submit="/jobs", look="/jobs/{id}", id=("task.id",), state=("job.status",),
            links=("job.output[].url",),
        ),
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("document", "before", "kind", "words"),
    [
        ({"job": {"id": "j1"}}, None, MalformedReplyError, "no id at task.id; it has job.id"),
        (
            {"job": {"status": "done", "output": [{"href": LINK}, {"href": LINK}]}},
            Handle("task", "j1"),
            NoImageError, "no image at job.output[].url; it has job.status, job.output[].href.",
        ),
        (
            {"job": {"status": "baking"}}, Handle("task", "j1"), MalformedReplyError,
            "the task is 'baking', which is none of the states pending, done and failed of acme",
        ),
        ({}, None, MalformedReplyError, "no id at task.id; it has nothing"),
    ],
)  # fmt: skip
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
    ["https://evil.example/r1", "http://queue.fal.run/r1", "https://queue.fal.run:444/r1",
     "https://queue.fal.run@evil.example/r1"],
)  # fmt: skip
def test_the_key_goes_to_no_other_host(url: str) -> None:
    with pytest.raises(MalformedReplyError, match="the key is sent to"):
        read(TaskImages(profile("fal")), {"request_id": "r", "status_url": url})


def test_cancelling_takes_the_tables_method_or_the_services_address() -> None:
    fal = TaskImages(profile("fal"))
    request = fal.cancel(Handle("task", "r 1"), "m/x", KEY)
    assert request is not None
    assert (request.method, request.url) == (
        "PUT", "https://queue.fal.run/m/x/requests/r%201/cancel",
    )  # fmt: skip
    named = fal.cancel(Handle("task", "r1", cancel="https://queue.fal.run/c"), "m", KEY)
    assert named is not None
    assert named.url == "https://queue.fal.run/c"
    assert TaskImages(profile("evolink")).cancel(Handle("task", "t"), "m", KEY) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["status", "data", "task_id", "id", "result", "url", "error", "urls",
                         "code", "state", "output", "results", "resultJson", "get"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values, st.sampled_from(sorted(services())), st.booleans())
def test_no_document_breaks_it(document: Any, name: str, submit: bool) -> None:
    dialect = TaskImages(profile(name))
    try:
        answer = read(dialect, document, None if submit else Handle("task", "t"))
    except NbpError:
        return
    assert answer.handle is not None or answer.links or answer.images


def test_every_service_can_be_asked_for_by_its_name() -> None:
    for name, service in services().items():
        own = profile(name)
        assert own.tasks == service.tasks
        assert name == "article" or not own.held


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("submit = ", "no TOML"),
        ('base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"', "no place for a result"),
        ('base_url = "https://a.example"\nsubmit = "/a"\nlook = "/x"\nlinks = ["u"]', "needs {id}"),
        ('submit = "/a"\nlook = "/{id}"\nlinks = ["u"]', "base_url is missing"),
        ('base_url = "ftp://a"\nsubmit = "/a"\nlook = "/{id}"\nlinks = ["u"]', "an address"),
        ('base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"\nlinks = ["u"]\nwho = 1',
         "no line is called 'who': nbp help service-files."),
        ('submit = "/a"\nlok = "/{id}"', "no line is called 'lok': did you mean 'look'?"),
        ('submit = "/a"\nlinks = ["u"]', "missing required field `look`."),
        ('base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"\nlinks = "u"',
         "array`, got `str` - at `links`."),
        (('base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"\nlinks = ["u"]\n'
         'cancel = "stop"'), "write it as"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_what_is_wrong(tmp_path: Any, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_profile(str(path))
    assert words in str(caught.value)


def test_a_file_of_ones_own_is_an_endpoint(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'base_url = "https://a.example/v9"\nkey_names = ["MINE"]\nsubmit = "/make"\n'
        'look = "/made/{id}"\nlinks = ["urls[]"]\n[body]\ntext = "{prompt}"\n'
    )
    own = find_profile(str(path))
    assert (own.name, own.held, own.key_names) == ("mine", False, ("MINE",))
    request = TaskImages(own).encode(job(), own, (), KEY)
    assert (request.url, body_of(request)) == ("https://a.example/v9/make",
                                               {"text": "a red bicycle"})  # fmt: skip
    with pytest.raises(ConfigError, match="cannot be read"):
        find_profile(str(tmp_path / "none.toml"))


def test_a_table_can_be_written_in_python() -> None:
    own = replace(RELAY, tasks=TaskTable(submit="/s", look="/l/{id}", links=("u",)))
    assert own.tasks is not None
    assert not own.tasks.calls_back
    assert services()["fal"].tasks.calls_back
