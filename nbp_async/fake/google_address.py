"""Google's addresses: which model, and what to do with it, on either of its two platforms.

/v1beta/models/{model}:generateContent                               the Gemini API
/v1/projects/{p}/locations/{l}/publishers/google/models/{model}:...  Vertex AI
/v1/publishers/google/models/{model}:...                             Vertex AI with a key
"""

import re
from typing import NamedTuple

from aiohttp import web

_MODELS = re.compile(
    r"/(?:v1beta1|v1beta|v1alpha|v1)/"
    r"(?P<vertex>(?:projects/[^/]+/locations/[^/]+/)?publishers/google/)?"
    r"models(?:/(?P<model>[^/:]+)(?::(?P<verb>\w+))?)?"
)
_GOOGLES_OWN = re.compile(r"/(?:v1beta1?|v1alpha|upload|download)/|/v1/(?:projects|publishers)/")
_GENERATES = ("generateContent", "streamGenerateContent")


class GoogleAddress(NamedTuple):
    """`model` is "" for the list of models, `verb` for a look at one."""

    model: str
    verb: str
    vertex: bool

    @property
    def makes_images(self) -> bool:
        return self.verb in _GENERATES


def google_address(path: str) -> GoogleAddress | None:
    """What this path says of models; None if it is another."""
    known = _MODELS.fullmatch(path)
    if known is None:
        return None
    return GoogleAddress(known["model"] or "", known["verb"] or "", known["vertex"] is not None)


def asks_google(request: web.BaseRequest) -> bool:
    """The request is meant for Google, whose paths may be OpenAI's as well."""
    if _GOOGLES_OWN.match(request.path) or ":" in request.path:
        return True
    return "x-goog-api-key" in request.headers or "key" in request.query
