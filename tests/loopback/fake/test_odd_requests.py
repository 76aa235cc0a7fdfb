"""Whatever is sent to it, the fake server answers as a vendor does, and never fails itself."""

import json
import logging
import os
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbp_async.fake import FakeServer
from tests.loopback.fake.odd_requests import SHAPES, OddRequest, RawReply, odd_requests, send

# aiohttp warns of forms that cannot be read.
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning:aiohttp.multipart"),
    pytest.mark.slow,
]
EXAMPLES = int(os.environ.get("NBP_FUZZ", "300"))
"""The suite sends the same requests each time. NBP_FUZZ=20000 looks longer, at other ones."""


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer.in_thread(latency=0, interactions=True) as server:
        yield server


def style_of(request: OddRequest) -> set[str]:
    """Whose words the answer may be in."""
    path = request.address
    for service in ("kie", "fal", "replicate"):
        if path.startswith(f"/{service}/"):
            return {service}
    if "/interactions" in path:
        return {"interactions", "google", "openai"}
    if path.startswith(("/v1beta", "/upload/", "/download/", "/v1/publishers")):
        return {"google"}
    return {"openai", "google"}  # both have paths below /v1


def complaint(request: OddRequest, reply: RawReply) -> str:
    """What is wrong with an answer, or ""."""
    status = reply.status
    if not status:
        return "" if request.cut else "no answer"
    if status >= 500:
        return "failed itself"
    if request.method == "HEAD" or reply.headers.get("content-type") == "application/xml":
        return ""  # no body; or the image store, which answers as object stores do
    if reply.headers["content-type"] == "text/plain; charset=utf-8" and status == 400:
        return ""  # not HTTP: the vendor's API never sees it
    if not reply.headers["content-type"].startswith("application/json"):
        return "" if status < 400 else "not JSON"
    document = json.loads(reply.body)
    if status == 200 and request.address.startswith("/kie/"):
        status = document["code"] if document["code"] >= 400 else status
    if status < 400:
        return ""
    found = {name for name in style_of(request) if _has_shape(name, document, status)}
    return "" if found else "another vendor's error"


def _has_shape(name: str, document: object, status: int) -> bool:
    try:
        return SHAPES[name](document, status)
    except (KeyError, TypeError, AttributeError):
        return False


@settings(
    max_examples=EXAMPLES,
    derandomize="NBP_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(data=st.data())
def test_any_request_is_answered_in_the_vendors_words(
    server: FakeServer, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    caplog.set_level(logging.ERROR)
    caplog.clear()
    request = data.draw(odd_requests(server.key))
    reply = send(server, request)
    if request.address.startswith("/__faults__"):
        send(server, OddRequest("DELETE", "/__faults__"))
    assert complaint(request, reply) == "", reply
    assert [record for record in caplog.records if not _is_not_http(record)] == []


def _is_not_http(record: logging.LogRecord) -> bool:
    """aiohttp refused bytes that are no HTTP, before anything of ours has seen them."""
    return isinstance((record.exc_info or (None, None))[1], HttpProcessingError)
