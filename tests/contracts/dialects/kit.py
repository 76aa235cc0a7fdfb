"""The dialects under contract, and answers as their vendors write them.

A new dialect is one more `Subject` here, a new task service none: its answers are built from its
table.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nbp_async._base.errors import ConfigError
from nbp_async._base.http import Usage
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import Answer, Decoder, Dialect, ImageEnd, ImageText
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.openai_chat import OpenAIChat
from nbp_async._dialects.openai_images import OpenAIImages
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._models.outcomes import Job, Prompt, Reference
from nbp_async._vendors.profiles import PROFILES, Profile, find_profile
from nbp_async._vendors.services import TaskTable, services
from nbp_async._vendors.sizes import Canvas

KEY = "sk-canary-0123456789abcdef"
TASK = "t-1"
PNG = Reference(mime="image/png", data=b"\x89PNG" + bytes(range(256)))
LINK = Reference(mime="image/png", uri="https://x.example/a.png")
BEFORE = "data:image/png;base64,"
RELAY = Profile(name="relay", base_url="https://relay.example/v1")


@dataclass(frozen=True)
class Subject:
    """A dialect under contract.

    Attributes:
        answer: A whole answer with these images, as base64 text, or these links.
        open_decoder: A fresh decoder for such an answer.
        usage: What the answer says of tokens; None where there is no standard for it.
        request_id: What the answer calls itself.
        takes_images, takes_links: In which forms an image may come.
        reads_data_urls: A link that begins with `data:` is an image.
        before_image: What stands before the base64 of an image, in the same text.
        takes_references: Images can be given to it; else it refuses to encode them.
    """

    name: str
    dialect: Dialect
    profile: Profile
    answer: Callable[[Sequence[str], Sequence[str]], Any]
    open_decoder: Callable[[], Decoder]
    usage: Usage | None = None
    request_id: str = ""
    takes_images: bool = True
    takes_links: bool = True
    reads_data_urls: bool = True
    before_image: str = ""
    takes_references: bool = True

    def __str__(self) -> str:
        return self.name

    def body(self, images: Sequence[str] = (), links: Sequence[str] = ()) -> bytes:
        return json.dumps(self.answer(images, links), indent=1).encode()

    def any_body(self) -> bytes:
        """A good answer in the richest form that this vendor has."""
        return self.body(["QUJD/+=" * 5]) if self.takes_images else self.body([], [LINK.uri])


def make_job(text: str = "a red bicycle", *, extra: dict[str, Any] | None = None) -> Job:
    canvas = Canvas("2K", "16:9", (2752, 1536))
    prompt = Prompt(text=text, extra=extra, seed=7)
    return Job(0, prompt, 0, "gemini-3-pro-image", canvas, Decimal(1), Decimal(1))


@dataclass
class Received:
    """What came out of a decoder: the texts of the images, and which of them ended."""

    texts: dict[int, bytes]
    ended: list[int]
    answer: Answer | None = None


def feed(decoder: Decoder, body: bytes, step: int | None = None) -> Received:
    """Feed the body in pieces of `step` bytes; the answer is not read yet."""
    received = Received({}, [])
    step = step or max(1, len(body))
    for start in range(0, len(body), step):
        for part in decoder.feed(body[start : start + step]):
            if isinstance(part, ImageText):
                assert part.image not in received.ended, "text after its end"
                received.texts[part.image] = received.texts.get(part.image, b"") + part.text
            else:
                assert isinstance(part, ImageEnd)
                received.ended.append(part.image)
    return received


def decode(decoder: Decoder, body: bytes, step: int | None = None) -> Received:
    received = feed(decoder, body, step)
    received.answer = decoder.close()
    return received


def _openai(images: Sequence[str], links: Sequence[str]) -> Any:
    usage = {
        "input_tokens": 10,
        "output_tokens": 1200,
        "output_tokens_details": {"image_tokens": 1120, "text_tokens": 80},
        "total_tokens": 1210,
    }
    data = [{"b64_json": text} for text in images] + [{"url": link} for link in links]
    return {"created": 1, "id": "r-1", "data": data, "usage": usage}


def _gemini(images: Sequence[str], links: Sequence[str]) -> Any:
    parts: list[Any] = [{"inlineData": {"mimeType": "image/png", "data": text}} for text in images]
    parts += [{"text": f"![image]({link})"} for link in links]
    usage = {
        "promptTokenCount": 10,
        "candidatesTokenCount": 1200,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
        "totalTokenCount": 1210,
    }
    candidates = [{"content": {"parts": [part]}, "finishReason": "STOP"} for part in parts]
    candidates = candidates or [{"content": {"parts": []}, "finishReason": "STOP"}]
    return {"candidates": candidates, "usageMetadata": usage, "responseId": "r-1"}


def _chat(images: Sequence[str], links: Sequence[str]) -> Any:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 1200,
        "completion_tokens_details": {"image_tokens": 1120, "reasoning_tokens": 80},
        "total_tokens": 1210,
    }
    addresses = [*(f"{BEFORE}{text}" for text in images), *links]
    shown = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
    message = {"role": "assistant", "content": "", "images": shown}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "r-1", "choices": [choice], "usage": usage}


def document(**places: Sequence[str]) -> Any:
    """A JSON document that has these values at these places of a task table."""
    whole: Any = {}
    for place, values in places.items():
        for value in _nest(place.split("."), values):
            whole = _merge(whole, value)
    return whole


def _nest(steps: list[str], values: Sequence[str]) -> list[Any]:
    if not steps:
        return list(values)
    name, _, is_list = steps[0].partition("[")
    inner = _nest(steps[1:], values)
    if is_list:
        inner = [inner]
    if name.endswith("|json"):
        name, inner = name.removesuffix("|json"), [json.dumps(value) for value in inner]
    return [{name: value} for value in inner]


def _merge(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: _merge(one[name], other[name]) for name in one.keys() & other.keys()}
        return one | other | both
    return other


def state_of(table: TaskTable, state: str, **places: Sequence[str]) -> Any:
    """What a service answers to a poll of a task in this state."""
    known: dict[str, Sequence[str]] = {table.id[0]: [TASK], table.state[0]: [state]}
    if table.status:
        known[table.status] = ["200"]
    return document(**known, **places)


def task_profile(name: str) -> Profile:
    """The profile of a service; one that has no address of its own stands at a relay."""
    service = services()[name]
    if not service.base_url:
        return Profile(name="relay", base_url=RELAY.base_url, tasks=service.tasks)
    return find_profile(name)


def _task(name: str) -> Subject:
    profile = task_profile(name)
    dialect = TaskImages(profile)
    table = dialect.table

    def answer(images: Sequence[str], links: Sequence[str]) -> Any:
        places: dict[str, Sequence[str]] = {}
        if images:
            places[table.images[0]] = images
        if links:
            places[table.links[0]] = links
        return state_of(table, table.done[0], **places)

    return Subject(
        name=f"task-{name}",
        dialect=dialect,
        profile=profile,
        answer=answer,
        open_decoder=lambda: dialect.poll_decoder(Handle("task", TASK)),
        takes_images=bool(table.images),
        takes_links=bool(table.links),
        # The scanner knows a string by its key: one in a list has none.
        reads_data_urls=not table.links[0].endswith("[]"),
        takes_references=not table.body or "{references}" in repr(table.body),
    )


USAGE = Usage(input_tokens=10, image_tokens=1120, text_tokens=80, total_tokens=1210)
TASKS = [_task(name) for name in sorted(services())]
SUBJECTS = [
    Subject(
        "openai", OpenAIImages(), RELAY, _openai, OpenAIImages().decoder, USAGE, request_id="r-1"
    ),
    Subject(
        "gemini",
        GeminiNative(),
        PROFILES["google"],
        _gemini,
        GeminiNative().decoder,
        USAGE,
        request_id="r-1",
        reads_data_urls=False,
    ),
    Subject(
        "chat",
        OpenAIChat(),
        PROFILES["openrouter"],
        _chat,
        OpenAIChat().decoder,
        USAGE,
        request_id="r-1",
        before_image=BEFORE,
    ),
    *TASKS,
]


def refuses(subject: Subject, job: Job, references: tuple[Reference, ...] = ()) -> ConfigError:
    """The refusal to encode this."""
    try:
        subject.dialect.encode(job, subject.profile, references, KEY)
    except ConfigError as exc:
        return exc
    raise AssertionError("it was encoded")
