"""Task services as their documents describe them, and a client of each."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nbp_async.fake.faults import Fault
from tests.loopback.fake.api_client import ApiClient, HttpReply, vendor


@dataclass(frozen=True)
class ServiceExample:
    """How one service is called, by its own documents.

    Attributes:
        submit: Path and body; the body for a prompt and the address of a webhook.
        id: The task's id in the answer.
        look: Path of a look.
        state: Its state.
        states: What it says of a task that waits, is worked on, is done, has failed.
        images: Links, or base64 text, of a finished task.
        cancel: Method and path; () where there is none.
        auth: The header that carries the key.
        failure: What it says of a failure, and the code.
    """

    submit: tuple[str, Callable[[str, str], Any]]
    id: Callable[[Any], str]
    poll: str
    state: Callable[[Any], str]
    states: tuple[str, str, str, str]
    images: Callable[[Any], list[str]]
    failure: Callable[[Any], Any]
    cancel: tuple[str, str] | tuple[()] = ()
    auth: Callable[[str], dict[str, str]] = lambda key: {"Authorization": f"Bearer {key}"}
    result: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def input_of(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, "resolution": "2K", "aspect_ratio": "16:9", "output_format": "png"}


SERVICES = {
    "comfly": ServiceExample(
        (
            "/images/generations?async=true",
            lambda p, _: {
                "model": "nano-banana-pro",
                "prompt": p,
                "size": "2752x1536",
                "response_format": "url",
            },
        ),
        lambda a: str(a["task_id"]),
        "/images/tasks/{id}",
        lambda a: str(a["data"]["status"]),
        ("NOT_START", "IN_PROGRESS", "SUCCESS", "FAILURE"),
        lambda a: [item["url"] for item in a["data"]["data"]["data"]],
        lambda a: a["data"]["fail_reason"],
    ),
    "sub2api": ServiceExample(
        (
            "/images/generations/async",
            lambda p, _: {"model": "nano-banana-pro-2k", "prompt": p, "size": "16:9"},
        ),
        lambda a: str(a["task_id"]),
        "/images/tasks/{id}",
        lambda a: str(a["status"]),
        ("processing", "processing", "completed", "failed"),
        lambda a: [item["url"] for item in a["result"]["data"]],
        lambda a: a["error"]["message"],
    ),
    "bifrost": ServiceExample(
        (
            "/async/images/generations",
            lambda p, _: {
                "model": "gemini/gemini-3-pro-image",
                "prompt": p,
                "size": "2752x1536",
                "response_format": "url",
            },
        ),
        lambda a: str(a["id"]),
        "/async/images/generations/{id}",
        lambda a: str(a["status"]),
        ("pending", "processing", "completed", "failed"),
        lambda a: [item["url"] for item in a["result"]["data"]],
        lambda a: a["error"]["error"]["message"],
    ),
    "evolink": ServiceExample(
        (
            "/images/generations",
            lambda p, url: {
                "model": "nano-banana-pro",
                "prompt": p,
                "size": "16:9",
                "quality": "2K",
                "callback_url": url,
            },
        ),
        lambda a: str(a["id"]),
        "/tasks/{id}",
        lambda a: str(a["status"]),
        ("pending", "processing", "completed", "failed"),
        lambda a: list(a["results"]),
        lambda a: a["error"]["message"],
    ),
    "kie": ServiceExample(
        (
            "/jobs/createTask",
            lambda p, url: {
                "model": "nano-banana-pro",
                "callBackUrl": url,
                "input": input_of(p),
            },
        ),
        lambda a: str(a["data"]["taskId"]),
        "/jobs/recordInfo?taskId={id}",
        lambda a: str(a["data"]["state"]),
        ("waiting", "generating", "success", "fail"),
        lambda a: list(json.loads(a["data"]["resultJson"])["resultUrls"]),
        lambda a: a["data"]["failMsg"],
    ),
    "fal": ServiceExample(
        ("/fal-ai/nano-banana-pro?fal_webhook={url}", lambda p, _: input_of(p)),
        lambda a: str(a["request_id"]),
        "/fal-ai/nano-banana-pro/requests/{id}/status",
        lambda a: str(a["status"]),
        ("IN_QUEUE", "IN_PROGRESS", "COMPLETED", "COMPLETED"),
        lambda a: [image["url"] for image in a["images"]],
        lambda a: a["error"],
        ("PUT", "/fal-ai/nano-banana-pro/requests/{id}/cancel"),
        lambda key: {"Authorization": f"Key {key}"},
        result="/fal-ai/nano-banana-pro/requests/{id}",
    ),
    "replicate": ServiceExample(
        (
            "/models/google/nano-banana-pro/predictions",
            lambda p, url: {
                "input": input_of(p),
                "webhook": url,
            },
        ),
        lambda a: str(a["id"]),
        "/predictions/{id}",
        lambda a: str(a["status"]),
        ("starting", "processing", "succeeded", "failed"),
        lambda a: [a["output"]],
        lambda a: a["error"],
        ("POST", "/predictions/{id}/cancel"),
    ),
    "google-interactions": ServiceExample(
        (
            "/interactions",
            lambda p, url: {
                "model": "gemini-3-pro-image",
                "input": p,
                "background": True,
                "store": True,
                "response_format": {
                    "type": "image",
                    "aspect_ratio": "16:9",
                    "image_size": "2K",
                    "delivery": "uri",
                },
                "webhook_config": {"uris": [url] if url else [], "user_metadata": {"job": "7"}},
            },
        ),
        lambda a: str(a["id"]),
        "/interactions/{id}",
        lambda a: str(a["status"]),
        ("queued", "in_progress", "completed", "failed"),
        lambda a: [image["uri"] for image in a["steps"][0]["content"]],
        lambda a: a["error"]["message"],
        ("POST", "/interactions/{id}/cancel"),
        lambda key: {"x-goog-api-key": key},
        options={"interactions": True},
    ),
}


class ServiceClient:
    """Calls one service."""

    def __init__(self, call: ApiClient, name: str, key: str = "") -> None:
        self.call = call
        self.how = SERVICES[name]
        self.base = call.server.service_url(name)
        self.key = key or call.server.key

    async def submit(self, prompt: str = "a cat", url: str = "") -> HttpReply:
        path, body = self.how.submit
        return await self._ask("POST", path.replace("{url}", url), body(prompt, url))

    async def task(self, prompt: str = "a cat", *faults: Fault, url: str = "") -> str:
        """The id of a new task."""
        if faults:
            self.call.server.script(*faults, match=prompt)
        reply = await self.submit(prompt, url)
        assert reply.status in (200, 201, 202), reply.body
        return self.how.id(reply.json)

    async def poll(self, task: str) -> HttpReply:
        return await self._ask("GET", self.how.poll.replace("{id}", task))

    async def result(self, task: str) -> HttpReply:
        """The answer that holds the images."""
        return await self._ask("GET", (self.how.result or self.how.poll).replace("{id}", task))

    async def state(self, task: str) -> str:
        return self.how.state((await self.poll(task)).json)

    async def cancel(self, task: str) -> HttpReply:
        method, path = self.how.cancel or ("", "")
        return await self._ask(method, path.replace("{id}", task))

    async def _ask(self, method: str, path: str, body: Any = None) -> HttpReply:
        heads = self.how.auth(self.key)
        url = self.base + path
        async with self.call.session.request(method, url, json=body, headers=heads) as answer:
            return HttpReply(answer.status, dict(answer.headers), await answer.read())


@asynccontextmanager
async def service_client(name: str, **options: Any) -> AsyncIterator[ServiceClient]:
    """A client of this service; the server takes 100 s for a task."""
    async with vendor(**{"latency": 100, **SERVICES[name].options, **options}) as call:
        yield ServiceClient(call, name)
