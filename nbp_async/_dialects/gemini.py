"""Google's own `generateContent`, as Google and some relays speak it.

The model thinks in drafts: parts marked `thought` are not the image that was asked. The last image
that is no thought counts; where every image is marked, which happens, the last one does. A relay
may give a link inside a text part instead; not every link there is one to an image.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

from nbp_async._dialects.base import SUCCESS, Answer, Decoder, Part
from nbp_async._dialects.json_scan import JsonScan, Keys, image_of
from nbp_async._dialects.read import clean, count, either, items, refusal, table, text
from nbp_async._dialects.spell import Base64, spelled
from nbp_async._errors import ConfigError, ContentBlockedError, NoImageError, RefusedError
from nbp_async._http import HttpRequest, ReplyHead, Usage
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile

KEYS = Keys(image=frozenset({b"data"}), drop=frozenset({b"thoughtSignature", b"thought_signature"}))
_MODEL = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_LINK = re.compile(
    r"(?P<shown>!\[[^\[\]]{0,300}\]\(\s{0,9}<?)?"  # Markdown's way to show an image
    r"(?P<link>https?://[^\s<>\"'()\[\]{}]*[^\s<>\"'()\[\]{}.,;:!?])"
)
_LINK_TO_IMAGE = re.compile(
    r"https?://[^/?#]+/[^?#]*\.(?:png|jpe?g|webp)(?:[?#]|\Z)", re.IGNORECASE
)

# ai.google.dev: FinishReason and BlockedReason that say no to what was asked or drawn.
_BLOCKED = frozenset({
    "SAFETY", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "BLOCKLIST",
    "SPII", "RECITATION", "IMAGE_RECITATION", "MODEL_ARMOR", "JAILBREAK",
})  # fmt: skip


class GeminiNative:
    """See `base.Dialect`. `Prompt.extra` is merged into the body, object by object."""

    statuses = SUCCESS

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        if not _MODEL.fullmatch(job.model):
            raise ConfigError(f"model={job.model!r} is no model's name. Nothing was sent.")
        image: dict[str, object] = {}
        if job.canvas.ratio is not None:
            image["aspectRatio"] = job.canvas.ratio
        if re.fullmatch(r"512|\dK", job.canvas.tier):
            image["imageSize"] = job.canvas.tier
        config: dict[str, object] = {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": image}
        if job.seed is not None:
            config["seed"] = job.seed
        parts = [*map(_part, references), {"text": job.prompt.text}]
        body: dict[str, object] = {
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": config,
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= profile.key_header(key)
        url = f"{profile.base_url}/models/{quote(job.model)}:generateContent"
        return HttpRequest("POST", url, headers, spelled(_merged(body, job.prompt.extra or {})))

    def decoder(self) -> Decoder:
        return _Decoder()

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        return refusal(head, body, profile)


def _part(reference: Reference) -> dict[str, object]:
    if reference.uri:
        return {"fileData": {"fileUri": reference.uri, "mimeType": reference.mime}}
    return {"inlineData": {"mimeType": reference.mime, "data": Base64(reference.data)}}


def _merged(body: dict[str, object], extra: Mapping[str, object]) -> dict[str, object]:
    """`extra` over `body`: objects are joined, anything else is replaced."""
    merged = dict(body)
    for name, value in extra.items():
        old = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


class _Decoder:
    """See `base.Decoder`."""

    __slots__ = ("_scan",)

    def __init__(self) -> None:
        self._scan = JsonScan(KEYS)

    @property
    def complete(self) -> bool:
        return self._scan.complete

    def feed(self, data: bytes) -> list[Part]:
        return self._scan.feed(data)

    def close(self) -> Answer:
        return answer_of(self._scan.close())


def answer_of(document: object) -> Answer:
    """Read one whole answer whose images are marks; see `json_scan.image_of`.

    Raises:
        NoImageError: It has no image, and says why.
    """
    if isinstance(document, list):
        document = document[0] if document else None
    found = table(document)
    drawn: list[int] = []
    thought: list[int] = []
    links: list[str] = []
    said: list[str] = []
    candidates = [table(c) for c in items(found.get("candidates"))]
    for candidate in candidates:
        last, drafts = _read_parts(candidate, links, said)
        drawn += last
        thought += drafts
    images = drawn or thought[-1:]
    words = clean(" ".join(said), 500)
    reason = _reason(found, candidates)
    if reason in _BLOCKED:
        links.clear()  # they lead to the rules, not to an image
    usage = _usage(found, made=bool(images or links))
    if not images and not links:
        raise _no_image(reason, candidates, words, usage)
    # A relay's image may have any address. What looks like one goes first all the same.
    links.sort(key=lambda link: _LINK_TO_IMAGE.match(link) is None)
    return Answer(
        images=tuple(images),
        links=tuple(dict.fromkeys(links)),  # shown and linked, it is one image all the same
        text=words,
        usage=usage,
        model=text(either(found, "modelVersion", "model_version")),
        request_id=text(either(found, "responseId", "response_id")),
    )


def _read_parts(
    candidate: Mapping[str, object], links: list[str], said: list[str]
) -> tuple[list[int], list[int]]:
    """One candidate's image, as a list of one or none; and its drafts.

    The model cannot be held to a number of images: earlier ones of a candidate are on the way to
    the last, and only further candidates are further images.
    """
    drawn: list[int] = []
    thought: list[int] = []
    for item in items(table(candidate.get("content")).get("parts")):
        part = table(item)
        inline = table(either(part, "inlineData", "inline_data"))
        number = image_of(inline.get("data"))
        if number is not None:
            (thought if part.get("thought") is True else drawn).append(number)
        elif part.get("thought") is not True and text(part.get("text")):
            said.append(text(part.get("text")))
            links += _links_in(said[-1])
    return drawn[-1:], thought + drawn[:-1]


def _links_in(words: str) -> list[str]:
    """The links that lead to an image: by their name, by being shown, or as all there is.

    Others are what a model may write besides: a source, or the rules that it keeps.
    """
    alone = _LINK.fullmatch(words.strip())
    return [
        found["link"]
        for found in _LINK.finditer(words)
        if alone or found["shown"] or _LINK_TO_IMAGE.match(found["link"])
    ]


def _usage(document: Mapping[str, object], *, made: bool) -> Usage | None:
    """Tokens by kind; where the kinds are not told, the output counts as image if one was made."""
    usage = table(either(document, "usageMetadata", "usage_metadata"))
    if not usage:
        return None
    output = count(either(usage, "candidatesTokenCount", "candidates_token_count"))
    details = items(either(usage, "candidatesTokensDetails", "candidates_tokens_details"))
    image = sum(
        count(either(table(d), "tokenCount", "token_count"))
        for d in details
        if text(table(d).get("modality")) == "IMAGE"
    )
    thoughts = count(either(usage, "thoughtsTokenCount", "thoughts_token_count"))
    image = image if details or not made else output
    return Usage(
        input_tokens=count(either(usage, "promptTokenCount", "prompt_token_count")),
        image_tokens=image,
        text_tokens=max(0, output - image) + thoughts,
        total_tokens=count(either(usage, "totalTokenCount", "total_token_count")),
    )


def _reason(document: Mapping[str, object], candidates: list[Mapping[str, object]]) -> str:
    """Why it ended, in the vendor's word."""
    feedback = table(either(document, "promptFeedback", "prompt_feedback"))
    reason = text(either(feedback, "blockReason", "block_reason"))
    if not reason and candidates:
        reason = text(either(candidates[0], "finishReason", "finish_reason"))
    return clean(reason, 80)


def _no_image(
    reason: str, candidates: list[Mapping[str, object]], words: str, usage: Usage | None
) -> NoImageError:
    """Every way in which a success has no image, by its reason."""
    if candidates and not words:
        words = clean(text(either(candidates[0], "finishMessage", "finish_message")), 500)
    blocked = reason in _BLOCKED
    what = "was refused" if blocked else "brought no image"
    if reason == "STOP":
        what = "was answered in words only" if words else "was answered with nothing"
    reason = reason or ("no finish reason" if candidates else "no candidates")
    message = f"The prompt {what} ({reason}){': ' + words if words else '.'}"
    kind = ContentBlockedError if blocked else NoImageError
    return kind(message, reason=reason, text=words, usage=usage)
