"""What each task service is asked."""

from typing import Any

import pytest

from nbp_async._base.task_handle import Handle
from nbp_async._dialects.task_dialect import TaskImages
from tests.unit.dialects.helpers import KEY, PNG, job
from tests.unit.dialects.task_helpers import BACK, asked, profile


def test_the_article_is_asked_as_for_a_held_call_and_told_where_to_call_back() -> None:
    url, body = asked("article", callback=BACK, extra={"quality": "high"})
    assert url == "https://relay.example/v1/images/generations/async"
    assert body == {
        "model": "nano-banana-pro",
        "prompt": "a red bicycle",
        "n": 1,
        "size": "2752x1536",
        "response_format": "url",
        "quality": "high",
        "webhook_url": BACK,
    }
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
        (
            "comfly",
            "https://ai.comfly.chat/v1/images/generations?async=true",
            {
                "model": "nano-banana-pro",
                "prompt": "a red bicycle",
                "n": 1,
                "image_size": "2K",
                "aspect_ratio": "16:9",
                "response_format": "url",
            },
        ),
        (
            "evolink",
            "https://api.evolink.ai/v1/images/generations",
            {
                "model": "nano-banana-pro",
                "prompt": "a red bicycle",
                "size": "16:9",
                "quality": "2K",
                "callback_url": BACK,
            },
        ),
        (
            "kie",
            "https://api.kie.ai/api/v1/jobs/createTask",
            {
                "model": "nano-banana-pro",
                "callBackUrl": BACK,
                "input": {
                    "prompt": "a red bicycle",
                    "aspect_ratio": "16:9",
                    "resolution": "2K",
                    "output_format": "png",
                },
            },
        ),
        (
            "fal",
            (
                "https://queue.fal.run/fal-ai/nano-banana-pro?fal_webhook=https%3A%2F%2Fme.example"
                "%2Fhook"
            ),
            {
                "prompt": "a red bicycle",
                "aspect_ratio": "16:9",
                "resolution": "2K",
                "num_images": 1,
                "output_format": "png",
            },
        ),
        (
            "replicate",
            "https://api.replicate.com/v1/models/google/nano-banana-pro/predictions",
            {
                "webhook": BACK,
                "input": {
                    "prompt": "a red bicycle",
                    "aspect_ratio": "16:9",
                    "resolution": "2K",
                    "output_format": "png",
                },
            },
        ),
        (
            "google-interactions",
            "https://generativelanguage.googleapis.com/v1beta/interactions",
            {
                "model": "gemini-3-pro-image",
                "input": "a red bicycle",
                "background": True,
                "store": True,
                "webhook_config": {"uris": [BACK]},
                "response_format": {
                    "type": "image",
                    "aspect_ratio": "16:9",
                    "image_size": "2K",
                    "delivery": "inline",
                },
            },
        ),
    ],
)
def test_each_service_is_asked_by_its_table(name: str, url: str, body: Any) -> None:
    assert asked(name, callback=BACK) == (url, body)


def test_the_extra_fields_of_a_prompt_go_into_the_part_that_has_them() -> None:
    assert asked("kie", extra={"seed": 3})[1]["input"]["seed"] == 3
    assert asked("evolink", extra={"seed": 3})[1]["seed"] == 3


def test_cancelling_takes_the_tables_method_or_the_services_address() -> None:
    fal = TaskImages(profile("fal"))
    request = fal.cancel(Handle("task", "r 1"), "m/x", KEY)
    assert request is not None
    assert (request.method, request.url) == (
        "PUT",
        "https://queue.fal.run/m/x/requests/r%201/cancel",
    )
    named = fal.cancel(Handle("task", "r1", cancel="https://queue.fal.run/c"), "m", KEY)
    assert named is not None
    assert named.url == "https://queue.fal.run/c"
    assert TaskImages(profile("evolink")).cancel(Handle("task", "t"), "m", KEY) is None
