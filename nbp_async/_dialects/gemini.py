"""Google's own `generateContent`, as Google and some relays implement it.

The model thinks in drafts: parts marked `thought` are not the image that was asked for. Every image
that is not a thought counts, the first one as the image and the others as its extras; if every
image is marked, which happens, the last one counts. An image may come as base64, as a link to a
file, or in the text of a part; not every link in a text leads to an image. The answer may be one
document, or the chunks of a stream.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

from nbp_async._base.errors import ConfigError, ContentBlockedError, NoImageError, RefusedError
from nbp_async._base.http import HttpRequest, ReplyHead, Usage
from nbp_async._dialects.base import SUCCESS, Answer, Decoder
from nbp_async._dialects.body_template import Base64, encode_json, with_extra
from nbp_async._dialects.image_strings import image_numbers
from nbp_async._dialects.image_text import likeliest_first, looks_like_link, read_text
from nbp_async._dialects.json_decoder import JsonDecoder
from nbp_async._dialects.json_scan import Keys
from nbp_async._dialects.reply_fields import (
    as_array,
    as_object,
    as_text,
    as_tokens,
    first_present,
    flatten,
    read_refusal,
    sanitize,
)
from nbp_async._models.outcomes import Job, Reference
from nbp_async._vendors.price_options import STANDARD
from nbp_async._vendors.profiles import Profile
from nbp_async._vendors.sizes import image_size

KEYS = Keys(image=frozenset({b"data"}), drop=frozenset({b"thoughtSignature", b"thought_signature"}))
_MODEL = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_DRAFT = "the response has only a draft of the image, and does not say that it is complete"

# ai.google.dev: the values of FinishReason and BlockedReason that refuse what was asked or drawn.
BLOCK_REASONS = frozenset(
    {
        "SAFETY",
        "PROHIBITED_CONTENT",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "BLOCKLIST",
        "SPII",
        "RECITATION",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
        "JAILBREAK",
    }
)


class GeminiNative:
    """See `base.Dialect`. `Prompt.extra` is merged into the body, object by object."""

    statuses = SUCCESS

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        if not _MODEL.fullmatch(job.model):
            raise ConfigError("not a valid model name.", option="model", value=job.model)
        image: dict[str, object] = {}
        if job.canvas.ratio is not None:
            image["aspectRatio"] = job.canvas.ratio
        size = image_size(job.model, job.canvas)
        if size:
            image["imageSize"] = size
        config: dict[str, object] = {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": image}
        if job.seed is not None:
            config["seed"] = job.seed
        if job.prompt.thinking is not None:
            config["thinkingConfig"] = {"thinkingLevel": job.prompt.thinking}
        parts = [*map(_part, references), {"text": job.prompt.text}]
        body: dict[str, object] = {
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": config,
        }
        if job.tier != STANDARD:  # ai.google.dev/gemini-api/docs/flex-inference
            body["serviceTier"] = job.tier
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= profile.key_header(key)
        url = f"{profile.base_url}/models/{quote(job.model)}:generateContent"
        return HttpRequest(
            "POST", url, headers, encode_json(with_extra(body, job.prompt.extra or {}))
        )

    def decoder(self) -> Decoder:
        return JsonDecoder(KEYS, read_answer)

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        return read_refusal(head, body, profile)


def _part(reference: Reference) -> dict[str, object]:
    if reference.uri:
        return {"fileData": {"fileUri": reference.uri, "mimeType": reference.mime}}
    return {"inlineData": {"mimeType": reference.mime, "data": Base64(reference.data)}}


class _Found:
    """What the parts of an answer bring, in their order."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.thought: list[int] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def take(self, part: Mapping[str, object], *, is_thought: bool = False) -> None:
        """Read one part, and those within a function's response."""
        is_thought = is_thought or part.get("thought") is True
        numbers = self.thought if is_thought else self.drawn
        links: list[str] = []
        inline = as_object(first_present(part, "inlineData", "inline_data"))
        data = inline.get("data")
        numbers += image_numbers(data)
        if looks_like_link(as_text(data)):
            links.append(as_text(data))
        file = as_object(first_present(part, "fileData", "file_data"))
        links += filter(None, [as_text(first_present(file, "fileUri", "file_uri"))])
        text = read_text(as_text(part.get("text")))
        numbers += text.images
        if text.words and not is_thought:
            self.words.append(text.words)
        self.links += [] if is_thought else links + text.links
        result = as_object(first_present(part, "functionResponse", "function_response"))
        numbers += image_numbers(result.get("response"))
        for inner in as_array(result.get("parts")):
            self.take(as_object(inner), is_thought=is_thought)


def read_answer(document: object) -> Answer:
    """Read one whole answer without its images; see `image_strings`.

    Raises:
        NoImageError: It has no image; the error says why.
    """
    chunks = [as_object(chunk) for chunk in flatten(document)]
    whole = _joined(chunks)
    candidates = [as_object(c) for chunk in chunks for c in as_array(chunk.get("candidates"))]
    found = _Found()
    for candidate in candidates:
        for part in as_array(as_object(candidate.get("content")).get("parts")):
            found.take(as_object(part))
    words = sanitize(" ".join(found.words), 500)
    reason = _reason(whole, candidates)
    # A stream that broke off after a draft has no reason: its image was still to come.
    is_over = reason or not isinstance(document, list)
    images = found.drawn or (found.thought[-1:] if is_over else [])
    links = [] if reason in BLOCK_REASONS else found.links  # they lead to the vendor's rules
    usage = _usage(whole, made=bool(images or links))
    if not images and not links:
        error = _no_image(reason, candidates, words, usage)
        if not candidates and not reason and usage is None:
            error.billing = "maybe"  # it is not an answer of this API
        raise error
    is_draft = bool(images) and not found.drawn and not reason
    return Answer(
        images=tuple(images),
        links=likeliest_first(links),
        text=words,
        usage=usage,
        model=as_text(first_present(whole, "modelVersion", "model_version")),
        tier=_tier(whole),
        request_id=as_text(first_present(whole, "responseId", "response_id")),
        notes=(_DRAFT,) if is_draft else (),
    )


def _joined(chunks: list[Mapping[str, object]]) -> Mapping[str, object]:
    """The fields of all chunks; of usage that grows from chunk to chunk, the last one counts."""
    fields: dict[str, object] = {}
    for chunk in chunks:
        usage = as_object(first_present(chunk, "usageMetadata", "usage_metadata"))
        grown = {**as_object(fields.get("usageMetadata")), **usage}
        fields |= {name: value for name, value in chunk.items() if value is not None}
        fields["usageMetadata"] = grown
    return fields


def _usage(document: Mapping[str, object], *, made: bool) -> Usage | None:
    """Tokens by kind. Without kinds the output counts as image tokens if an image was made."""
    usage = as_object(first_present(document, "usageMetadata", "usage_metadata"))
    if not usage:
        return None
    output = as_tokens(first_present(usage, "candidatesTokenCount", "candidates_token_count"))
    details = as_array(first_present(usage, "candidatesTokensDetails", "candidates_tokens_details"))
    image = sum(
        as_tokens(first_present(as_object(d), "tokenCount", "token_count"))
        for d in details
        if as_text(as_object(d).get("modality")) == "IMAGE"
    )
    thoughts = as_tokens(first_present(usage, "thoughtsTokenCount", "thoughts_token_count"))
    image = image if details or not made else output
    return Usage(
        input_tokens=as_tokens(first_present(usage, "promptTokenCount", "prompt_token_count")),
        image_tokens=image,
        text_tokens=max(0, output - image) + thoughts,
        total_tokens=as_tokens(first_present(usage, "totalTokenCount", "total_token_count")),
    )


def _tier(document: Mapping[str, object]) -> str:
    """The service tier that was given, where the body names it; see `Exchange.given` as well."""
    usage = as_object(first_present(document, "usageMetadata", "usage_metadata"))
    return as_text(first_present(usage, "serviceTier", "service_tier")).lower()


def _reason(document: Mapping[str, object], candidates: list[Mapping[str, object]]) -> str:
    """Why the model stopped, in the vendor's word."""
    feedback = as_object(first_present(document, "promptFeedback", "prompt_feedback"))
    reasons = [as_text(first_present(feedback, "blockReason", "block_reason"))]
    reasons += [as_text(first_present(c, "finishReason", "finish_reason")) for c in candidates]
    return sanitize(next(filter(None, reasons), ""), 80)


def _no_image(
    reason: str, candidates: list[Mapping[str, object]], words: str, usage: Usage | None
) -> NoImageError:
    """The error for a success without an image, by its reason."""
    if not words:
        said = (as_text(first_present(c, "finishMessage", "finish_message")) for c in candidates)
        words = sanitize(next(filter(None, said), ""), 500)
    blocked = reason in BLOCK_REASONS
    what = "was refused" if blocked else "gave no image"
    if reason == "STOP":
        what = "was answered with text only" if words else "was answered with nothing"
    reason = reason or ("no finish reason" if candidates else "no candidates")
    message = f"The prompt {what} ({reason}){': ' + words if words else '.'}"
    kind = ContentBlockedError if blocked else NoImageError
    return kind(message, reason=reason, text=words, usage=usage)
