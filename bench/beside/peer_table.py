"""The columns: the clients, and a whole response of each one's API."""

import base64
import json

from bench.beside.lab import Peer
from bench.bodies import answer_with, png

_IMAGE = png(200)
_BASE64 = base64.b64encode(_IMAGE).decode()
_IMAGES = answer_with(_IMAGE)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _gemini() -> bytes:
    part = {"inlineData": {"mimeType": "image/png", "data": _BASE64}}
    candidate = {"content": {"parts": [part], "role": "model"}, "finishReason": "STOP", "index": 0}
    details = [{"modality": "IMAGE", "tokenCount": 1120}]
    usage = {
        "promptTokenCount": 2,
        "candidatesTokenCount": 1120,
        "totalTokenCount": 1122,
        "candidatesTokensDetails": details,
    }
    return _json({"candidates": [candidate], "usageMetadata": usage})


def _fal() -> bytes:
    image = {"url": "https://images.example/a.png", "content_type": "image/png"}
    return _json({"images": [image], "description": ""})


def _replicate() -> bytes:
    prediction = {
        "id": "a",
        "model": "google/nano-banana-pro",
        "version": "hidden",
        "status": "succeeded",
        "input": {},
        "output": "https://images.example/a.png",
        "urls": {"get": "https://images.example/a", "cancel": "https://images.example/a/cancel"},
        "created_at": "2026-11-01T00:00:00Z",
    }
    return _json(prediction)


def _chat() -> bytes:
    text = f"![image](data:image/png;base64,{_BASE64})"
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }
    usage = {"prompt_tokens": 2, "completion_tokens": 1120, "total_tokens": 1122}
    return _json(
        {
            "id": "a",
            "object": "chat.completion",
            "created": 1,
            "model": "nano-banana-pro",
            "choices": [choice],
            "usage": usage,
        }
    )


NBP = Peer(
    name="nbp_async",
    module="nbp_peer",
    answer=_IMAGES,
    has_cap=True,
    packages=("nbp-async", "aiohttp"),
)
PEERS = (
    Peer(name="openai", module="openai_peer", answer=_IMAGES, packages=("openai", "httpx2")),
    Peer(
        name="google-genai",
        module="google_peer",
        answer=_gemini(),
        packages=("google-genai", "httpx2"),
    ),
    Peer(
        name="fal-client",
        module="fal_peer",
        answer=_fal(),
        https="always",
        packages=("fal-client", "httpx"),
    ),
    Peer(
        name="replicate",
        module="replicate_peer",
        answer=_replicate(),
        https="files",
        packages=("replicate", "httpx"),
    ),
    Peer(
        name="litellm",
        module="litellm_peer",
        answer=_gemini(),
        has_cap=True,
        packages=("litellm", "openai", "httpx"),
    ),
    Peer(
        name="curator",
        module="curator_peer",
        answer=_chat(),
        before=2,  # it asks for its limits first
        packages=("bespokelabs-curator", "litellm", "aiohttp"),
    ),
    Peer(name="aiometer", module="aiometer_peer", answer=_IMAGES, packages=("aiometer", "httpx")),
    NBP,
)
"""In the table's order; ours comes last."""
