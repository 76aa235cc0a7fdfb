"""Answers and clients for tests of the flow: scripted transport, virtual time, no sockets."""

import base64
import json
from decimal import Decimal
from typing import Any

from nbp_async._calls.batch import Batch
from nbp_async._client.client import Client
from nbp_async._vendors.profiles import PROFILES
from nbp_async.testing.transport import Canned, FakeTransport
from tests.pictures import png

PRICE = Decimal("0.134")
_PRICES = PROFILES["google"].prices_for("gemini-3-pro-image")
assert _PRICES is not None
# What may have been billed for a short prompt.
MOST = Decimal("0.134") + _PRICES.extra(letters=256, references=0)


def answer(image: bytes | None = None, **more: Any) -> bytes:
    """A good answer of an OpenAI images endpoint."""
    encoded = base64.b64encode(image or png(2048, 2048)).decode()
    return json.dumps({"created": 1, "data": [{"b64_json": encoded}], **more}).encode()


def good(hold: float = 100.0) -> Canned:
    return Canned(answer(), hold=hold, headers={"x-request-id": "req-1"})


def refusal(status: int, **headers: str) -> Canned:
    body = json.dumps({"error": {"message": "no", "code": "some_code"}}).encode()
    return Canned(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def client(transport: FakeTransport, **options: Any) -> Client:
    """A client of an endpoint that nobody knows, so that the careful rules hold."""
    options.setdefault("rng", lambda: 0.5)
    endpoint = options.pop("endpoint", "https://relay.example/v1")
    return Client(endpoint, "sk-canary-123456", transport=transport, **options)


def assert_settled(batch: Batch, transport: FakeTransport) -> None:
    """What was billed is what was delivered plus what is reported as lost or unclear."""
    delivered = len(batch.images)
    unclear = sum(a.billing == "maybe" for o in batch for a in o.attempts)
    lost = sum(a.billing == "yes" for o in batch for a in o.attempts) - delivered
    assert transport.billed <= delivered + unclear + lost
    assert transport.billed >= delivered + lost
    assert transport.in_flight == 0
