"""The OpenAI images API, as OpenAI and many relays speak it.

`/images/generations` for text, `/images/edits` once there are references. Answers carry `b64_json`,
a link, or a `data:` address in the link's place; relays leave out or add whatever they like.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from nbp_async._dialects.base import SUCCESS, Answer, Decoder, Part
from nbp_async._dialects.json_scan import JsonScan, Keys, image_of
from nbp_async._dialects.read import clean, count, either, items, refusal, table, text
from nbp_async._dialects.spell import Base64, spelled
from nbp_async._errors import ConfigError, ContentBlockedError, NoImageError, RefusedError
from nbp_async._http import HttpRequest, ReplyHead, Usage
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile

KEYS = Keys(image=frozenset({b"b64_json"}), link=frozenset({b"url"}))
BLOCKED = ("moderation_blocked", "content_policy_violation", "content_filter", "safety")
_SUFFIX = {"image/jpeg": "jpg", "image/webp": "webp", "image/heic": "heic", "image/heif": "heif"}


class OpenAIImages:
    """See `base.Dialect`."""

    statuses = SUCCESS

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        headers = profile.key_header(key) | {"Accept": "application/json"}
        url = f"{profile.base_url}{path_of(references)}"
        if not references or any(reference.uri for reference in references):
            headers["Content-Type"] = "application/json"
            return HttpRequest("POST", url, headers, spelled(fields_of(job, profile, references)))
        headers["Content-Type"], body = multipart(_fields(job, profile), _files(references))
        return HttpRequest("POST", url, headers, body)

    def decoder(self) -> Decoder:
        return _Decoder()

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        return refusal(head, body, profile)


def path_of(references: tuple[Reference, ...]) -> str:
    """Where a request goes, after the base URL."""
    return "/images/edits" if references else "/images/generations"


def fields_of(job: Job, profile: Profile, references: tuple[Reference, ...]) -> dict[str, object]:
    """A request as JSON; references are links, or bytes within addresses.

    Raises:
        ConfigError: A reference is no file and no http(s) link.
    """
    fields = _fields(job, profile)
    if references:
        fields["images"] = [{"image_url": _address(r)} for r in references]
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
    if profile.response_format is not None:
        fields["response_format"] = profile.response_format
    if job.seed is not None:
        fields["seed"] = job.seed
    fields.update(job.prompt.extra or {})
    return fields


def _address(reference: Reference) -> str | Base64:
    """A link as it is, or the bytes as a data: address."""
    if reference.uri:
        if urlsplit(reference.uri).scheme not in ("http", "https"):
            raise ConfigError(
                f"Reference {reference.uri}: this API takes files and http(s) links. "
                "Nothing was sent."
            )
        return reference.uri
    return Base64(reference.data, f"data:{reference.mime};base64,")


class File(NamedTuple):
    """A file of a form: its field, what it is called and is, and its bytes in parts."""

    field: str
    name: str
    mime: str
    data: Sequence[bytes]


def _files(references: tuple[Reference, ...]) -> list[File]:
    return [
        File("image[]", f"reference-{n}.{_SUFFIX.get(one.mime, 'png')}", one.mime, [one.data])
        for n, one in enumerate(references)
    ]


def multipart(fields: Mapping[str, object], files: Sequence[File]) -> tuple[str, bytes]:
    """Content type and body of a form; the boundary follows from the content, so that equal
    requests have equal bytes."""
    digest = hashlib.sha256(spelled(fields))
    for file in files:
        for data in file.data:
            digest.update(data)
    boundary = f"nbp-{digest.hexdigest()[:40]}"
    pieces: list[bytes] = []
    for name, value in fields.items():
        plain = value.encode() if isinstance(value, str) else spelled({"": value})[4:-1]
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
        return answer_of(table(self._scan.close()))


def answer_of(document: Mapping[str, object]) -> Answer:
    """Read a whole answer whose images were led past.

    Raises:
        NoImageError: It has none.
    """
    images: list[int] = []
    links: list[str] = []
    for item in items(document.get("data")):
        entry = table(item)
        for value in (entry.get("b64_json"), entry.get("url")):
            number = image_of(value)
            if number is not None:
                images.append(number)
                break  # a second form of it would be the same image again
            if text(value):
                links.append(text(value))
    usage = usage_of(table(document.get("usage")))
    if not images and not links:
        raise _no_image(document, usage)
    return Answer(
        images=tuple(images),
        links=tuple(links),
        usage=usage,
        model=text(document.get("model")),
        request_id=text(document.get("id")),
    )


def usage_of(usage: Mapping[str, object]) -> Usage | None:
    if not usage:
        return None
    output = count(either(usage, "output_tokens", "completion_tokens"))
    details = table(usage.get("output_tokens_details"))
    image = count(details.get("image_tokens")) or (0 if details else output)
    return Usage(
        input_tokens=count(either(usage, "input_tokens", "prompt_tokens")),
        image_tokens=image,
        text_tokens=max(0, output - image),
        total_tokens=count(usage.get("total_tokens")),
    )


def _no_image(document: Mapping[str, object], usage: Usage | None) -> NoImageError:
    """A success without an image: why, as far as it says."""
    error = document.get("error")
    inner = table(error)
    code = text(either(inner, "code", "type"))
    said = error if isinstance(error, str) else either(inner, "message", "msg")
    words = clean(text(said or either(document, "message", "msg")), 500)
    message = f"The answer has no image{': ' + words if words else '.'}"
    reason = code or ("error" if error else "no data")
    kind = ContentBlockedError if any(b in code.lower() for b in BLOCKED) else NoImageError
    return kind(message, reason=reason, text=words, usage=usage)
