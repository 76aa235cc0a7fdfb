"""The OpenAI images API, as OpenAI and many relays implement it.

`/images/generations` for text, `/images/edits` with references. An image comes as `b64_json`, as a
link, or as a `data:` URL in the place of a link; relays leave out or add fields as they like. They
also answer with a bare list, with the events of a stream, or as a chat does.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbp_async._base.errors import ContentBlockedError, NoImageError, RefusedError
from nbp_async._base.http import HttpRequest, ReplyHead, Usage
from nbp_async._dialects.base import SUCCESS, Answer, Decoder
from nbp_async._dialects.body_template import encode_json, link_or_data
from nbp_async._dialects.image_strings import image_numbers
from nbp_async._dialects.image_text import looks_like_link, read_text
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
from nbp_async._vendors.profiles import Profile

KEYS = Keys(image=frozenset({b"b64_json"}), link=frozenset({b"url"}))
_UNFINISHED = "The stream ended before the image was complete: it has drafts only."
BLOCKED = ("moderation_blocked", "content_policy_violation", "content_filter", "safety")
_SUFFIX = {"image/jpeg": "jpg", "image/webp": "webp", "image/heic": "heic", "image/heif": "heif"}


class OpenAIImages:
    """See `base.Dialect`."""

    statuses = SUCCESS

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        headers = profile.key_header(key) | {"Accept": "application/json"}
        url = f"{profile.base_url}{request_path(references)}"
        if not references or any(reference.uri for reference in references):
            headers["Content-Type"] = "application/json"
            return HttpRequest(
                "POST", url, headers, encode_json(json_fields(job, profile, references))
            )
        headers["Content-Type"], body = encode_form(_fields(job, profile), _files(references))
        return HttpRequest("POST", url, headers, body)

    def decoder(self) -> Decoder:
        return JsonDecoder(KEYS, read_answer)

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        return read_refusal(head, body, profile)


def request_path(references: tuple[Reference, ...]) -> str:
    """The path of a request, after the base URL."""
    return "/images/edits" if references else "/images/generations"


def json_fields(job: Job, profile: Profile, references: tuple[Reference, ...]) -> dict[str, object]:
    """The fields of a JSON request; references are links or `data:` URLs.

    Raises:
        ConfigError: A reference is neither a file nor an http(s) link.
    """
    fields = _fields(job, profile)
    if references:
        fields["images"] = [{"image_url": link_or_data(r)} for r in references]
    return fields


def _fields(job: Job, profile: Profile) -> dict[str, object]:
    canvas = job.canvas
    fields: dict[str, object] = {"model": job.model, "prompt": job.prompt.text, "n": 1}
    if profile.size_style == "tier":
        fields["image_size"] = canvas.tier
        if canvas.ratio is not None:
            fields["aspect_ratio"] = canvas.ratio
    elif canvas.pixels is not None:
        fields["size"] = f"{canvas.pixels[0]}x{canvas.pixels[1]}"
    else:
        fields["size"] = canvas.tier
        if canvas.ratio is not None:
            fields["aspect_ratio"] = canvas.ratio
    if (wanted := job.response_format or profile.response_format) is not None:
        fields["response_format"] = wanted
    if job.seed is not None:
        fields["seed"] = job.seed
    if job.prompt.quality is not None:
        fields["quality"] = job.prompt.quality
    fields.update(job.prompt.extra or {})
    return fields


class File(NamedTuple):
    """A file of a form: its field, name and type, and its bytes in parts."""

    field: str
    name: str
    mime: str
    data: Sequence[bytes]


def _files(references: tuple[Reference, ...]) -> list[File]:
    # As OpenAI has it; relays that take one image look for the first.
    field = "image" if len(references) == 1 else "image[]"
    return [
        File(field, f"reference-{n}.{_SUFFIX.get(one.mime, 'png')}", one.mime, [one.data])
        for n, one in enumerate(references)
    ]


def encode_form(fields: Mapping[str, object], files: Sequence[File]) -> tuple[str, bytes]:
    """Content type and body of a form. The boundary is a hash of the content: equal requests have
    equal bytes, and no file can contain the boundary that ends it."""
    digest = hashlib.sha256(encode_json(fields))
    for file in files:
        for data in file.data:
            digest.update(data)
    boundary = f"nbp-{digest.hexdigest()[:40]}"
    pieces: list[bytes] = []
    for name, value in fields.items():
        plain = value.encode() if isinstance(value, str) else encode_json({"": value})[4:-1]
        safe = str(name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{safe}"\r\n\r\n'
        pieces += [head.encode(), plain, b"\r\n"]
    for file in files:
        head = (
            f"--{boundary}\r\nContent-Disposition: form-data; "
            f'name="{file.field}"; filename="{file.name}"\r\nContent-Type: {file.mime}\r\n\r\n'
        )
        pieces += [head.encode(), *file.data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


# Where an entry has its image or link.
_IMAGE_FIELDS = frozenset({"b64_json", "image_url", "imageUrl", "text", "url"})


class FoundImages(NamedTuple):
    """The images and links of an answer, and its fields: of a stream, those of all its events."""

    images: list[int]
    links: list[str]
    fields: Mapping[str, object]


def find_images(document: object) -> FoundImages:
    """What a whole answer without its images has; see `image_strings`."""
    images: list[int] = []
    links: list[str] = []
    fields: dict[str, object] = {}
    for item in flatten(document):
        chunk = as_object(item)
        fields |= {
            name: value for name, value in chunk.items() if value is not None or name not in fields
        }
        for entry in _entries(chunk or item):
            _read_entry(entry, images, links)
    return FoundImages(images, links, fields)


def read_answer(document: object) -> Answer:
    """Read a whole answer without its images.

    Raises:
        NoImageError: It has none.
    """
    images, links, fields = find_images(document)
    usage = read_usage(as_object(fields.get("usage")), made=True)
    if not images and not links:
        raise _no_image(fields, usage)
    return Answer(
        images=tuple(images),
        links=tuple(links),
        usage=usage,
        model=as_text(fields.get("model")),
        quality=as_text(fields.get("quality")),
        request_id=as_text(fields.get("id")),
    )


def _entries(chunk: object) -> list[object]:
    """What may be an image: in a list, alone, in an event of a stream, or in a chat's message."""
    fields = as_object(chunk)
    if not fields:
        return [chunk]
    if _is_draft(fields):
        return []
    found = first_present(fields, "data", "images", "output")
    entries = [*found] if isinstance(found, list) else [found]
    for choice in as_array(fields.get("choices")):
        message = as_object(first_present(as_object(choice), "message", "delta"))
        content = message.get("content")
        entries += as_array(content) or [{"text": content}]
        entries += as_array(message.get("images"))
    return entries if _IMAGE_FIELDS.isdisjoint(fields) else [*entries, fields]


def _is_draft(event: Mapping[str, object]) -> bool:
    """An event that shows an image before it is complete."""
    return as_text(event.get("type")).endswith("partial_image")


def _read_entry(entry: object, images: list[int], links: list[str]) -> None:
    """The image of one entry: its base64 and its link are the same image."""
    if isinstance(entry, str):
        images += image_numbers(entry)
        links += [entry] if looks_like_link(entry) else []
        return
    fields = as_object(entry)
    image_url = first_present(fields, "image_url", "imageUrl")
    url = as_object(image_url).get("url") if isinstance(image_url, dict) else image_url
    for value in (fields.get("b64_json"), fields.get("url"), url):
        numbers = image_numbers(value)
        if numbers:
            images += numbers
            return
    text = read_text(as_text(fields.get("text")))
    images += text.images
    base64 = as_text(fields.get("b64_json"))
    links += [base64] if looks_like_link(base64) else []
    links += filter(None, [as_text(fields.get("url")) or as_text(url)])
    links += text.links


def read_usage(usage: Mapping[str, object], *, made: bool) -> Usage | None:
    """Tokens by kind, under the names of the images API or of a chat.

    Where no image tokens are told apart, all but the reasoning counts as such if an image was made.
    """
    if not usage:
        return None
    output = as_tokens(first_present(usage, "output_tokens", "completion_tokens"))
    details = as_object(first_present(usage, "output_tokens_details", "completion_tokens_details"))
    image = as_tokens(details.get("image_tokens"))
    if details.get("image_tokens") is None and made:
        image = max(0, output - as_tokens(details.get("reasoning_tokens")))
    given = as_object(first_present(usage, "input_tokens_details", "prompt_tokens_details"))
    return Usage(
        input_tokens=as_tokens(first_present(usage, "input_tokens", "prompt_tokens")),
        image_tokens=image,
        text_tokens=max(0, output - image),
        total_tokens=as_tokens(usage.get("total_tokens")),
        input_image_tokens=as_tokens(given.get("image_tokens")),
    )


def _no_image(document: Mapping[str, object], usage: Usage | None) -> NoImageError:
    """The error for a success without an image: why, as far as it says."""
    error = document.get("error")
    inner = as_object(error)
    code = as_text(first_present(inner, "code", "type"))
    said = error if isinstance(error, str) else first_present(inner, "message", "msg")
    words = sanitize(as_text(said or first_present(document, "message", "msg")), 500)
    message = f"The response has no image{': ' + words if words else '.'}"
    reason = code or ("error" if error else "no data")
    if _is_draft(document) and not error:
        message, reason = _UNFINISHED, "drafts only"
    kind = ContentBlockedError if any(b in code.lower() for b in BLOCKED) else NoImageError
    problem = kind(message, reason=reason, text=words, usage=usage)
    if "data" not in document and not error:
        problem.billing = "maybe"  # it is not an answer of this API
    return problem
