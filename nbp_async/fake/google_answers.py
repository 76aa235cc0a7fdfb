"""The body of Google's success: one document, or the same in pieces as a stream.

Pictures and signatures are megabytes: bodies are lists of pieces, and none is copied.
"""

import random
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import pybase64

from nbp_async.fake.faults import BadPayload
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.model_table import TokenCount, fake_model
from nbp_async.fake.payloads import Payload, Pieces, base64_pieces, image_payload
from nbp_async.fake.pictures import MIME, DrawnImage, other

_TEXT = "Here is your image."
_THOUGHT = "**Considering the Composition**\n\nI place the subject, then the light."
_UNSHOWN = "Unable to show the generated image. Try another prompt; this request is not charged."
_OF_TEXT = 1_000_000  # characters of a real signature beside a text
_OF_IMAGE = {"1K": 1_200_000, "2K": 2_000_000, "4K": 3_000_000}
_SMALL = 684


class GoogleAnswer:
    """Writes one answer.

    Args:
        spec: What was asked.
        request: The request's id.
        tokens: What it reports.
        fault: What is wrong with it.
        heavy: Signatures are as long as real ones.
    """

    def __init__(
        self,
        spec: ImageSpec,
        request: str,
        tokens: TokenCount,
        fault: BadPayload | None,
        *,
        heavy: bool,
    ) -> None:
        self._spec = spec
        self._request = request
        self._tokens = tokens
        self._fault = fault
        self._what = fault.what if fault else ""
        self._heavy = heavy

    def payload(
        self, pictures: Sequence[DrawnImage], links: Sequence[str], draft: DrawnImage | None
    ) -> Payload:
        """The body with these images, or their links; `draft` is one that the model only tried."""
        if self._what == "foreign":
            return image_payload(self._request, pictures, links, tokens=None, fault=None, created=0)
        if self._fault is not None and self._what == "blocked":
            feedback = {"promptFeedback": {"blockReason": self._fault.kind}}
            documents = [[msgspec.json.encode(feedback)[:-1] + b",", *self._about(self._tokens)]]
        else:
            parts = self._parts(pictures, links, draft)
            groups = [[part] for part in parts] if self._spec.stream else [parts]
            documents = [self._document(group, last=False) for group in groups[:-1]]
            documents.append(self._document(groups[-1] if groups else [], last=True))
        return Payload(*_FRAMES[self._spec.stream](documents))

    def _parts(
        self, pictures: Sequence[DrawnImage], links: Sequence[str], draft: DrawnImage | None
    ) -> list[Pieces]:
        parts: list[Pieces] = []
        if draft is not None:
            parts.append([msgspec.json.encode({"text": _THOUGHT, "thought": True})])
            parts.append([*self._inline(draft), b',"thought":true}'])
        words = _TEXT if self._spec.with_text else ""
        if self._fault is not None and self._what == "none":
            words = self._fault.text
        text = "\n".join([*filter(None, [words]), *links])
        if text:
            signature = self._signature(_OF_TEXT)
            parts.append([msgspec.json.encode({"text": text})[:-1], *signature, b"}"])
        if not links:
            thought = b',"thought":true' if self._what == "thought" else b""
            parts += [
                [*self._inline(picture), thought, *self._image_signature(), b"}"]
                for picture in pictures
            ]
        return parts

    def _document(self, parts: list[Pieces], *, last: bool) -> Pieces:
        """One whole answer, or one piece of a stream; only the last says why it ended."""
        pieces = [b'{"candidates":[{"content":{"role":"model"']
        for number, part in enumerate(parts):
            pieces += [b"," if number else b',"parts":[', *part]
        pieces.append(b"]}" if parts else b"}")
        if not last:
            begun = TokenCount(self._tokens.prompt, self._tokens.references)
            return [*pieces, b',"index":0}],', *self._about(begun)]
        reason = self._fault.kind if self._fault is not None and self._what == "none" else "STOP"
        pieces.append(b',"finishReason":' + msgspec.json.encode(reason))
        if not parts and reason.startswith("IMAGE_"):
            pieces.append(b',"finishMessage":' + msgspec.json.encode(_UNSHOWN))
        return [*pieces, b',"index":0}],', *self._about(self._tokens)]

    def _about(self, tokens: TokenCount) -> Pieces:
        """The end of a document."""
        about = {
            "usageMetadata": _usage(tokens),
            "modelVersion": self._spec.model,
            "responseId": self._request,
        }
        return [msgspec.json.encode(about)[1:]]

    def _inline(self, picture: DrawnImage) -> Pieces:
        """A part with an image, without its end."""
        mime = MIME[picture.kind]
        if self._fault is not None and (self._what, self._fault.kind) == ("image", "mislabelled"):
            mime = MIME[other(picture.kind)]
        head = b'{"inlineData":{"mimeType":"%b","data":"' % mime.encode()
        return [head, *base64_pieces(picture, self._fault), b'"}']

    def _image_signature(self) -> Pieces:
        if self._fault is not None and self._what == "signature":
            count = self._fault.count // 4 * 4
            return [b',"thoughtSignature":"', b"A" * count, b'"']
        return self._signature(_OF_IMAGE.get(self._spec.size, _OF_IMAGE["1K"]))

    def _signature(self, size: int) -> Pieces:
        """The signature of a part, for models that think."""
        if fake_model(self._spec.model).thinks is None:
            return []
        return [b',"thoughtSignature":"', _noise(size if self._heavy else _SMALL), b'"']


@lru_cache(maxsize=8)
def _noise(size: int) -> bytes:
    return pybase64.b64encode(random.Random(size).randbytes(size // 4 * 3))


def _one(documents: list[Pieces]) -> tuple[Pieces, str]:
    return documents[0], "application/json"


def _events(documents: list[Pieces]) -> tuple[Pieces, str]:
    pieces = [piece for one in documents for piece in (b"data: ", *one, b"\r\n\r\n")]
    return pieces, "text/event-stream"


def _array(documents: list[Pieces]) -> tuple[Pieces, str]:
    pieces = [piece for one in documents for piece in (b",\r\n", *one)]
    return [b"[", *pieces[1:], b"]"], "application/json"


_FRAMES = {"": _one, "sse": _events, "array": _array}


def _usage(tokens: TokenCount) -> dict[str, object]:
    """Tokens as Google writes them: counts of 0 are left out."""
    counts = {
        "promptTokenCount": tokens.input,
        "candidatesTokenCount": tokens.output,
        "totalTokenCount": tokens.total,
        "promptTokensDetails": modalities(tokens.prompt, tokens.references),
        "candidatesTokensDetails": modalities(0, tokens.image),
        "thoughtsTokenCount": tokens.thoughts,
    }
    return {name: count for name, count in counts.items() if count}


def modalities(text: int, image: int) -> list[dict[str, object]]:
    """Tokens by what they are of, as Google writes them."""
    counts = {"TEXT": text, "IMAGE": image}
    return [{"modality": of, "tokenCount": count} for of, count in counts.items() if count]
