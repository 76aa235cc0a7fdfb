"""How services sign their webhooks, and how forgers try to.

standard    Standard Webhooks, symmetric `v1`; one signature for each secret: two while it changes
kie         HMAC of the task's id and the time, not of the body; the key is the newest secret's text
fal         Ed25519; public keys in a JWKS
google      a JWT by RS256 that holds the event again, and the receiver's address as its audience;
            public keys in a JWKS
none        no signature

fal and google need the package `cryptography`.
"""

import asyncio
import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nbp_async.fake.seeded_random import digest
from nbp_async.fake.task_faults import Forgery

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Scheme = Literal["standard", "kie", "fal", "google", "none"]
Headers = dict[str, str]

_USER = "fake-user"  # fal signs a user id as well
_FRESH = 300  # seconds until a JWT expires
_OLD = 600.0  # seconds; receivers accept what is up to five minutes old
_RSA_BITS = 2048


class OutgoingWebhook(msgspec.Struct, frozen=True):
    """A webhook that is not signed yet.

    Attributes:
        id: Its own id, the same for every attempt and every copy.
        task: The id of the task that it is about.
        url: Where it goes.
        body: The event, as JSON.
        result: It holds the images, or their links.
    """

    id: str
    task: str
    url: str
    body: bytes
    result: bool = False


class SigningKeys:
    """A vendor's signing keys; drawn from its seed, except RSA.

    Args:
        seed: What they are drawn from.
        secrets: One or several shared secrets, newest first. After `whsec_` a secret is base64.
            By default one is drawn from the seed.

    Raises:
        ValueError: A secret is empty, or not base64 after `whsec_`.
    """

    def __init__(self, seed: object, secrets: str | Sequence[str] | None = None) -> None:
        drawn = base64.b64encode(digest(seed, "hook", 1) + digest(seed, "hook", 2)).decode()
        secrets = [secrets] if isinstance(secrets, str) else secrets
        self.secrets = tuple(secrets or [f"whsec_{drawn}"])
        self._shared = [_key_of(secret) for secret in self.secrets]
        self._seed = seed
        self._rsa: asyncio.Future[RSAPrivateKey] | None = None
        self._forger: SigningKeys | None = None

    async def ready(self, scheme: Scheme) -> None:
        """Load the package that this scheme needs, in a thread: it is large.

        Raises:
            ImportError: `cryptography` is not installed.
        """
        if scheme in ("fal", "google"):
            await asyncio.to_thread(import_module, "cryptography.hazmat.primitives.asymmetric.rsa")

    async def send_as(
        self, webhook: OutgoingWebhook, scheme: Scheme, now: float, forged: Forgery = ""
    ) -> tuple[bytes, Headers]:
        """Body and headers of this webhook, signed at `now` (seconds since 1970), or forged."""
        signed, keys = webhook, self
        if forged == "unsigned":
            scheme = "none"
        elif forged == "old":
            now -= _OLD
        elif forged == "key":
            keys = self._forger = self._forger or SigningKeys(("forger", self._seed))
        elif forged == "id":
            webhook = msgspec.structs.replace(webhook, id=f"{webhook.id}0", task=f"{webhook.task}0")
        elif forged == "body":
            webhook = msgspec.structs.replace(webhook, body=b" " + webhook.body)
        headers = await keys.sign(signed, scheme, int(now))
        if forged == "id":
            headers |= _ids_of(webhook, scheme)
        if forged == "garbage":
            headers |= {name: "v1,%%%é" for name in headers if name.endswith("ignature")}
        return webhook.body, headers

    async def jwks(self, scheme: Scheme) -> dict[str, list[dict[str, str]]]:
        """The public keys, for receivers that verify."""
        if scheme == "fal":
            public = self._ed25519().public_key().public_bytes_raw()
            key = {"kty": "OKP", "crv": "Ed25519", "x": _url64(public)}
        else:
            numbers = (await self._rsa_key()).public_key().public_numbers()
            key = {"kty": "RSA", "n": _number64(numbers.n), "e": _number64(numbers.e)}
            key |= {"alg": "RS256", "use": "sig"}
        return {"keys": [{**key, "kid": self._kid(scheme)}]}

    async def sign(self, webhook: OutgoingWebhook, scheme: Scheme, now: int) -> Headers:
        """The headers that sign this webhook."""
        if scheme == "google":
            return {
                **_ids_of(webhook, scheme),
                "webhook-timestamp": str(now),
                "webhook-signature": await self._jwt(webhook, now),
            }
        scheme_of: Mapping[str, Callable[[OutgoingWebhook, int], Headers]] = {
            "standard": self._standard,
            "kie": self._kie,
            "fal": self._fal,
            "none": lambda *_: {},
        }
        return scheme_of[scheme](webhook, now)

    def _standard(self, webhook: OutgoingWebhook, now: int) -> Headers:
        content = b"%b.%d.%b" % (webhook.id.encode(), now, webhook.body)
        signatures = [f"v1,{_mac(key, content)}" for key in self._shared]
        return {
            **_ids_of(webhook, "standard"),
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signatures),
        }

    def _kie(self, webhook: OutgoingWebhook, now: int) -> Headers:
        signature = _mac(self.secrets[0].encode(), f"{webhook.task}.{now}".encode())
        return {"x-webhook-timestamp": str(now), "x-webhook-signature": signature}

    def _fal(self, webhook: OutgoingWebhook, now: int) -> Headers:
        lines = (webhook.task, _USER, str(now), sha256(webhook.body).hexdigest())
        signature = self._ed25519().sign("\n".join(lines).encode()).hex()
        return {
            **_ids_of(webhook, "fal"),
            "x-fal-webhook-user-id": _USER,
            "x-fal-webhook-timestamp": str(now),
            "x-fal-webhook-signature": signature,
        }

    async def _jwt(self, webhook: OutgoingWebhook, now: int) -> str:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        head = {"alg": "RS256", "typ": "JWT", "kid": self._kid("google")}
        event = msgspec.json.decode(webhook.body)
        claims = {
            **event,
            "iss": "https://generativelanguage.googleapis.com",
            "aud": webhook.url,
            "iat": now,
            "exp": now + _FRESH,
            "jti": webhook.id,
        }
        parts = [_url64(msgspec.json.encode(part)) for part in (head, claims)]
        key = await self._rsa_key()
        signature = key.sign(".".join(parts).encode(), PKCS1v15(), SHA256())
        return ".".join([*parts, _url64(signature)])

    def _kid(self, scheme: str) -> str:
        return digest(self._seed, "kid", scheme).hex()[:12]

    def _ed25519(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        seed = digest(self._seed, "fal", 1) + digest(self._seed, "fal", 2)
        return Ed25519PrivateKey.from_private_bytes(seed)

    async def _rsa_key(self) -> "RSAPrivateKey":
        """Made on first use, in a thread: it would block the event loop for too long."""
        if self._rsa is None:
            self._rsa = asyncio.ensure_future(asyncio.to_thread(_new_rsa))
        return await asyncio.shield(self._rsa)


def _new_rsa() -> "RSAPrivateKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    return generate_private_key(65537, _RSA_BITS)


def _key_of(secret: str) -> bytes:
    if not secret:
        raise ValueError("a webhook secret must not be empty")
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as exc:
        raise ValueError("a webhook secret must be base64 after whsec_") from exc


def _ids_of(webhook: OutgoingWebhook, scheme: Scheme) -> Headers:
    if scheme == "fal":
        return {"x-fal-webhook-request-id": webhook.task}
    return {"webhook-id": webhook.id} if scheme in ("standard", "google") else {}


def _mac(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number64(number: int) -> str:
    return _url64(number.to_bytes((number.bit_length() + 7) // 8))
