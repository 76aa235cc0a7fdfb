"""Two majors of each vendor's SDK do here what they do at their vendor."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbp_async.fake import FakeServer, faults, task_faults
from tests.loopback.fake.sdk_environment import client_python, run_calls

PYTHONS: dict[str, Callable[[], Path]] = {
    "pinned": lambda: Path(sys.executable),
    "older": lambda: client_python("older"),
}
pytestmark = [pytest.mark.parametrize("version", PYTHONS), pytest.mark.slow]


OPENAI = {
    "generate": (["png 1536x1024"], 196),
    "generate_a_link": True,
    "edit": (["png 1024x1024", "png 1024x1024"], 1120),
    "batch": ["k0", "k1", "k2"],
    "files": ("in.jsonl", True, True),
    "batches": ["completed"],
    "models": (True, "gpt-image-2"),
    "respond": (["png 1536x1024"], ""),
    "respond_later": ("queued", "response.completed", True, "completed", 2),
    "cancel_a_response": "cancelled",
    "a_wrong_key": ("AuthenticationError", "invalid_api_key", None),
    "a_wrong_model": ("NotFoundError", "model_not_found", None),
    "a_refused_prompt": ("BadRequestError", "moderation_blocked", None),
    "too_many_requests": ("RateLimitError", "rate_limit_exceeded", "7"),
}
GOOGLE = {
    "generate": (["jpeg 2752x1536"], 1126),
    "images_only": 1,
    "edit": (["jpeg 1024x1024"], [2, 1120]),
    "stream": [("text", True), ("image", True), ("text", False), ("image", False)],
    "chat": ["jpeg 1024x1024"],
    "files": (["jpeg 1024x1024"], True, True, 403),
    "batch_inline": ("JOB_STATE_SUCCEEDED", 2),
    "batch_of_a_file": ["a", "b"],
    "count_tokens": 2,
    "models": (True, "models/gemini-3-pro-image"),
    "vertex": ["jpeg 1024x1024"],
    "a_wrong_key": (400, "INVALID_ARGUMENT", ["ErrorInfo", "LocalizedMessage"]),
    "a_wrong_model": (404, "NOT_FOUND", []),
    "a_refused_prompt": "PROHIBITED_CONTENT",
    "too_many_requests": (429, "RESOURCE_EXHAUSTED", ["RetryInfo"]),
}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer.in_thread(latency=0.05, batch_latency=0.2) as server:
        server.script(faults.blocked(), match="please refuse")
        server.script(faults.rate_limited(7), match="please hurry")
        server.script(task_faults.stuck(), match="take your time")
        yield server


def test_openai(server: FakeServer, version: str) -> None:
    done = run_calls(PYTHONS[version](), "openai_calls", server.openai_url, server.key)
    assert done == {name: str(result) for name, result in OPENAI.items()}


def test_google(server: FakeServer, version: str) -> None:
    done = run_calls(PYTHONS[version](), "google_calls", server.base_url, server.key)
    assert done == {name: str(result) for name, result in GOOGLE.items()}
