"""What services sign, checked with the packages that receivers use."""

import base64
import hmac
import json
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from nbp_async.fake.signing import OutgoingWebhook, SigningKeys

LETTER = OutgoingWebhook("msg_1", "task_1", "https://example.com/hook", b'{"a":1}')
NOW = 1_700_000_000.9


def unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_kie_signs_the_task_and_the_time_but_not_the_body() -> None:
    keys = SigningKeys(0, "a secret")
    _, headers = await keys.send_as(LETTER, "kie", NOW)
    mark = hmac.digest(b"a secret", b"task_1.1700000000", "sha256")
    assert headers == {
        "x-webhook-timestamp": "1700000000",
        "x-webhook-signature": base64.b64encode(mark).decode(),
    }


async def test_fal_signs_with_a_key_that_its_jwks_shows() -> None:
    keys = SigningKeys(0)
    body, headers = await keys.send_as(LETTER, "fal", NOW)
    (key,) = (await keys.jwks("fal"))["keys"]
    public = Ed25519PublicKey.from_public_bytes(unpacked(key["x"]))
    names = ("request-id", "user-id", "timestamp")
    lines = [headers[f"x-fal-webhook-{name}"] for name in names] + [sha256(body).hexdigest()]
    public.verify(bytes.fromhex(headers["x-fal-webhook-signature"]), "\n".join(lines).encode())
    assert lines[0] == "task_1"
    assert await SigningKeys(0).jwks("fal") == await keys.jwks("fal")
    assert await SigningKeys(1).jwks("fal") != await keys.jwks("fal")


async def test_google_signs_a_token_with_a_key_that_its_jwks_shows() -> None:
    keys = SigningKeys(0)
    _, headers = await keys.send_as(LETTER, "google", NOW)
    (key,) = (await keys.jwks("google"))["keys"]
    numbers = (int.from_bytes(unpacked(key[name])) for name in ("e", "n"))
    public = RSAPublicNumbers(*numbers).public_key()
    head, claims, mark = headers["webhook-signature"].split(".")
    public.verify(unpacked(mark), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    told = json.loads(unpacked(head))
    assert (told["alg"], told["kid"]) == ("RS256", key["kid"])
    assert json.loads(unpacked(claims))["aud"] == LETTER.url


@pytest.mark.parametrize("scheme", ["standard", "kie", "fal", "google"])
async def test_a_forged_signature_differs(scheme: str) -> None:
    keys = SigningKeys(0)
    _, right = await keys.send_as(LETTER, scheme, NOW)  # type: ignore[arg-type]  # a name of each
    for forged in ("key", "garbage", "unsigned"):
        _, wrong = await keys.send_as(LETTER, scheme, NOW, forged)  # type: ignore[arg-type]
        assert wrong != right
    body, same = await keys.send_as(LETTER, scheme, NOW, "body")  # type: ignore[arg-type]
    assert body != LETTER.body
    assert same.keys() == right.keys()


async def test_scheme_none_signs_nothing() -> None:
    assert await SigningKeys(0).send_as(LETTER, "none", NOW) == (LETTER.body, {})
