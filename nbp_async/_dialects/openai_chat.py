"""Images in a chat: OpenAI's `/chat/completions`, as OpenRouter and many relays implement it.

The request asks for images as one of its modalities, and names ratio and size in `image_config`.
An image comes in the message's `images`, or within its text: as Markdown, as a `data:` address, or
as a link. A model that draws nothing says so in words, with the status of a success.
"""

from collections.abc import Mapping
from typing import NamedTuple

from nbp_async._base.errors import ContentBlockedError, NoImageError, RefusedError
from nbp_async._base.http import HttpRequest, ReplyHead, Usage
from nbp_async._dialects.base import SUCCESS, Answer, Decoder
from nbp_async._dialects.body_template import encode_json, link_or_data, with_extra
from nbp_async._dialects.gemini import BLOCK_REASONS
from nbp_async._dialects.image_text import likeliest_first, read_text
from nbp_async._dialects.json_decoder import JsonDecoder
from nbp_async._dialects.openai_images import BLOCKED, KEYS, find_images, read_usage
from nbp_async._dialects.reply_fields import (
    as_array,
    as_object,
    as_text,
    first_present,
    flatten,
    read_refusal,
    sanitize,
)
from nbp_async._models.outcomes import Job, Reference
from nbp_async._vendors.profiles import CHAT_PATH, Profile
from nbp_async._vendors.sizes import image_size


class OpenAIChat:
    """See `base.Dialect`. `Prompt.extra` is merged into the body, object by object."""

    statuses = SUCCESS

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        content: object = job.prompt.text
        if references:
            images = [
                {"type": "image_url", "image_url": {"url": link_or_data(r)}} for r in references
            ]
            content = [{"type": "text", "text": job.prompt.text}, *images]
        config: dict[str, object] = {}
        if job.canvas.ratio is not None:
            config["aspect_ratio"] = job.canvas.ratio
        if size := image_size(job.model, job.canvas):
            config["image_size"] = size
        body: dict[str, object] = {
            "model": job.model,
            "messages": [{"role": "user", "content": content}],
            "modalities": ["image", "text"],
        }
        if config:
            body["image_config"] = config
        if job.seed is not None:
            body["seed"] = job.seed
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= profile.key_header(key)
        text = encode_json(with_extra(body, job.prompt.extra or {}))
        return HttpRequest("POST", f"{profile.base_url}{CHAT_PATH}", headers, text)

    def decoder(self) -> Decoder:
        return JsonDecoder(KEYS, read_answer)

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        return read_refusal(head, body, profile)


class _Said(NamedTuple):
    """What the choices of an answer say besides their images.

    Attributes:
        words: The text of their messages.
        refused: Why the model refuses, in its words, or "".
        reasons: Why it stopped, in the words of the vendor and of its maker, and codes of errors.
    """

    words: str
    refused: str
    reasons: tuple[str, ...]


def read_answer(document: object) -> Answer:
    """Read a whole answer, or the chunks of a stream, without its images; see `image_strings`.

    Raises:
        NoImageError: It has none; the error says why.
    """
    images, links, fields = find_images(document)
    said = _said(document)
    is_blocked = bool(said.refused) or any(map(_blocks, said.reasons))
    links = [] if is_blocked else links  # they lead to the vendor's rules
    usage = read_usage(as_object(fields.get("usage")), made=bool(images or links))
    if not images and not links:
        raise _no_image(fields, said, usage, is_blocked=is_blocked)
    return Answer(
        images=tuple(images),
        links=likeliest_first(links),
        text=said.words,
        usage=usage,
        model=as_text(fields.get("model")),
        request_id=as_text(fields.get("id")),
    )


def _said(document: object) -> _Said:
    words: list[str] = []
    refused: list[str] = []
    reasons: list[str] = []
    for item in flatten(document):
        chunk = as_object(item)
        for choice in map(as_object, as_array(chunk.get("choices"))):
            message = as_object(first_present(choice, "message", "delta"))
            content = message.get("content")
            texts = [as_object(part).get("text") for part in as_array(content)] or [content]
            words += [read_text(as_text(text)).words for text in texts]
            refused.append(as_text(message.get("refusal")))
            reasons += [_code(choice.get("error"))]
            reasons += [as_text(choice.get(n)) for n in ("native_finish_reason", "finish_reason")]
            words.append(_message(choice.get("error")))
        reasons.append(_code(chunk.get("error")))
        words.append(_message(chunk.get("error")))
    return _Said(
        sanitize(" ".join(filter(None, words)), 500),
        sanitize(" ".join(filter(None, refused)), 500),
        tuple(sanitize(reason, 80) for reason in reasons if reason),
    )


def _code(error: object) -> str:
    """The code of an error: a text, or a number as in a status."""
    code = first_present(as_object(error), "code", "type")
    return str(code) if isinstance(code, str | int) else "error" if error else ""


def _message(error: object) -> str:
    return as_text(error) or as_text(as_object(error).get("message"))


def _blocks(reason: str) -> bool:
    """This reason refuses what was asked or drawn."""
    return reason.upper() in BLOCK_REASONS or any(b in reason.lower() for b in BLOCKED)


def _no_image(
    fields: Mapping[str, object], said: _Said, usage: Usage | None, *, is_blocked: bool
) -> NoImageError:
    """The error for a success without an image, by what its choices say."""
    words = said.refused or said.words
    blocking = next(filter(_blocks, said.reasons), "refusal" if said.refused else "")
    reason = blocking or (said.reasons[0] if said.reasons else "no choices")
    what = "was refused" if is_blocked else "gave no image"
    if reason.lower() == "stop":
        what = "was answered with text only" if words else "was answered with nothing"
    kind = ContentBlockedError if is_blocked else NoImageError
    message = f"The prompt {what} ({reason}){': ' + words if words else '.'}"
    error = kind(message, reason=reason, text=words, usage=usage)
    if "choices" not in fields and not fields.get("error"):
        error.billing = "maybe"  # it is not an answer of this API
    return error
