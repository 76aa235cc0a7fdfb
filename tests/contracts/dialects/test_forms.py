"""Every form in which a paid image was seen to come is read, in any pieces; a part is an error."""

import base64
import json
from typing import Any, NamedTuple

import pytest

from nbp_async._base.errors import NbpError
from nbp_async._dialects.base import Dialect
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.json_scan import MOST_KEPT
from nbp_async._dialects.openai_chat import OpenAIChat
from nbp_async._dialects.openai_images import OpenAIImages
from nbp_async.fake.pictures import draw, seed_of
from tests.contracts.dialects.kit import Received, decode
from tests.pictures import png

PNG = base64.b64encode(
    png(32, 32, padding=2048).replace(bytes(2048), bytes(range(256)) * 8)
).decode()
JPEG = base64.b64encode(draw(seed_of("a red bicycle"), 32, 32, "jpeg").data()).decode()
LINK = "https://x.example/files/7?sign=%2F"


class Form(NamedTuple):
    """An answer as somebody sent it.

    Attributes:
        body: The answer.
        images: The base64 of its images, the wanted one first.
        links: Its links, where it has no image.
    """

    dialect: Dialect
    body: bytes
    images: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


def gemini(*parts: Any, **more: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "finishReason": "STOP"}], **more}


def inline(data: str | None, **more: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": data}, **more}


def events(*documents: Any, done: bool = True) -> bytes:
    lines = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in documents]
    return b": ping\n\n" + b": ping\n\n".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def of_gemini(document: Any, *images: str, links: tuple[str, ...] = ()) -> Form:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Form(GeminiNative(), body, images, links)


def of_openai(document: Any, *images: str, links: tuple[str, ...] = ()) -> Form:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Form(OpenAIImages(), body, images, links)


def of_chat(document: Any, *images: str, links: tuple[str, ...] = ()) -> Form:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Form(OpenAIChat(), body, images, links)


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": content, **more}}]}


DATA_URL = f"data:image/png;base64,{PNG}"
SHOWN = f"Here it is!\n![image]({DATA_URL})"
IN_CHAT = {"type": "image_url", "image_url": {"url": DATA_URL}}
LONG = "A long story. " * (MOST_KEPT // 7)
ESCAPED = json.dumps(gemini({"text": SHOWN})).replace("/", "\\/").encode()
THOUGHT = gemini({"text": "Planning", "thought": True}, inline(JPEG, thought=True))
THOUGHT["candidates"][0].pop("finishReason")
LAST = gemini({"text": ""}, usageMetadata={"totalTokenCount": 9})
CALLED = {"functionResponse": {"name": "draw", "parts": [inline(PNG)], "response": {"ok": True}}}
ANSWERED = {"functionResponse": {"name": "draw", "response": {"image": {"data": PNG}}}}

FORMS = {
    "inline": of_gemini(gemini(inline(PNG)), PNG),
    "Markdown with base64": of_gemini(gemini({"text": SHOWN}), PNG),
    "Markdown after a long text": of_gemini(gemini({"text": LONG + SHOWN}), PNG),
    "HTML with base64": of_gemini(gemini({"text": f'<img src="{DATA_URL}"/>'}), PNG),
    "base64 alone as text": of_gemini(gemini({"text": PNG}), PNG),
    "base64 in two texts": of_gemini(gemini({"text": SHOWN}, {"text": f"({DATA_URL})"}), PNG, PNG),
    "two in one text": of_gemini(gemini({"text": f"{SHOWN} and {DATA_URL}!"}), PNG, PNG),
    "escaped slashes": of_gemini(ESCAPED, PNG),
    "an event stream": of_gemini(events(gemini(inline(PNG))), PNG),
    "its chunks": of_gemini(events(THOUGHT, gemini(inline(PNG)), LAST), PNG),
    "an event stream without [DONE]": of_gemini(events(gemini(inline(PNG)), done=False), PNG),
    "an array of chunks": of_gemini([THOUGHT, gemini(inline(PNG)), LAST], PNG),
    "a line per chunk": of_gemini(
        b"\n".join(json.dumps(one).encode() for one in (THOUGHT, gemini(inline(PNG)), LAST)), PNG
    ),
    "a link to a file": of_gemini(gemini({"fileData": {"fileUri": LINK}}), links=(LINK,)),
    "the same in snake case": of_gemini(gemini({"file_data": {"file_uri": LINK}}), links=(LINK,)),
    "a link in place of base64": of_gemini(gemini(inline(LINK)), links=(LINK,)),
    "null beside snake case": of_gemini(
        gemini({"inlineData": None, "inline_data": {"data": PNG}}), PNG
    ),
    "two images": of_gemini(gemini(inline(PNG), {"text": "and"}, inline(JPEG)), PNG, JPEG),
    "drafts and two images": of_gemini(
        gemini(inline(JPEG, thought=True), inline(PNG), inline(JPEG)), PNG, JPEG
    ),
    "drafts alone": of_gemini(gemini(inline(JPEG, thought=True), inline(PNG, thought=True)), PNG),
    "a function's parts": of_gemini(gemini(CALLED), PNG),
    "a function's response": of_gemini(gemini(ANSWERED), PNG),
    "b64_json": of_openai({"data": [{"b64_json": PNG}]}, PNG),
    "two in data": of_openai({"data": [{"b64_json": PNG}, {"b64_json": JPEG}]}, PNG, JPEG),
    "base64 in place of a link": of_openai({"data": [{"url": JPEG}]}, JPEG),
    "a link in place of b64_json": of_openai({"data": [{"b64_json": LINK}]}, links=(LINK,)),
    "a bare array": of_openai([{"url": LINK}], links=(LINK,)),
    "a bare array of base64": of_openai([{"b64_json": PNG}, {"b64_json": JPEG}], PNG, JPEG),
    "a relative link": of_openai([{"url": "/files/7"}], links=("/files/7",)),
    "data as an object": of_openai({"data": {"url": LINK}}, links=(LINK,)),
    "data as an object with base64": of_openai({"data": {"b64_json": PNG}}, PNG),
    "data as links": of_openai({"data": [LINK, f"{LINK}8"]}, links=(LINK, f"{LINK}8")),
    "data as base64": of_openai({"data": [PNG, DATA_URL]}, PNG, PNG),
    "data as one link": of_openai({"data": LINK}, links=(LINK,)),
    "images": of_openai({"images": [{"url": LINK}]}, links=(LINK,)),
    "a chat with Markdown": of_openai(chat(SHOWN), PNG),
    "a chat with a link": of_openai(chat(f"![image]({LINK})"), links=(LINK,)),
    "a chat with parts": of_openai(
        chat([{"type": "text", "text": "Done."}, {"image_url": {"url": DATA_URL}}]), PNG
    ),
    "a chat with images": of_openai(chat("", images=[{"image_url": {"url": DATA_URL}}]), PNG),
    "chat: beside its text": of_chat(chat("Done.", images=[IN_CHAT]), PNG),
    "chat: the same in camel case": of_chat(
        chat("", images=[{"imageUrl": {"url": DATA_URL}}]), PNG
    ),
    "chat: two beside no text": of_chat(chat(None, images=[IN_CHAT, IN_CHAT]), PNG, PNG),
    "chat: Markdown": of_chat(chat(SHOWN), PNG),
    "chat: Markdown with a link": of_chat(chat(f"Done: ![image]({LINK}) Enjoy!"), links=(LINK,)),
    "chat: a link alone": of_chat(chat(f"{LINK}\n"), links=(LINK,)),
    "chat: one link, shown and listed": of_chat(
        chat(f"![image]({LINK})", images=[{"image_url": {"url": LINK}}]), links=(LINK,)
    ),
    "chat: parts": of_chat(chat([{"type": "text", "text": "Done."}, IN_CHAT]), PNG),
    "chat: chunks": of_chat(
        events(
            {"choices": [{"delta": {"role": "assistant", "content": "Here "}}]},
            {"choices": [{"delta": {"content": "", "images": [IN_CHAT]}}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {}},
        ),
        PNG,
    ),
    "events of a stream": of_openai(
        events(
            {"type": "image_generation.partial_image", "b64_json": JPEG},
            {"type": "image_generation.completed", "b64_json": PNG, "usage": {}},
            done=False,
        ),
        PNG,
    ),
}
form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def images_of(received: Received) -> tuple[str, ...]:
    assert received.answer is not None
    assert set(received.answer.images) <= set(received.ended)
    texts = (received.texts[number].decode() for number in received.answer.images)
    return tuple(text.removeprefix("data:image/png;base64,") for text in texts)


@form
def test_it_is_read_in_any_pieces(form: Form) -> None:
    for step in (1, 7, 64 * 1024):
        received = decode(form.dialect.decoder(), form.body, step)
        assert received.answer is not None
        assert images_of(received) == form.images
        assert received.answer.links == form.links
        assert received.answer.notes == ()


@form
def test_cut_at_fifty_places_it_gives_whole_images_or_an_error(form: Form) -> None:
    """A stream may be cut after an image: that one is whole. One document may be cut nowhere."""
    for place in range(50):
        cut = form.body[: len(form.body) * place // 50]
        for step in (7, 64 * 1024) if place % 10 else (1, 7, 64 * 1024):
            try:
                received = decode(form.dialect.decoder(), cut, step)
            except NbpError:
                continue
            if received.answer is not None and received.answer.notes:
                continue  # a draft that the first line of a stream brought, and is said to be one
            assert form.body.startswith((b":", b'{"candidates": [{"content": {"role"'))
            assert images_of(received) == form.images
            assert cut.count(form.images[0].encode()) == form.body.count(form.images[0].encode())
