"""How services sign their webhooks; and how those who are no service try to.

"standard" is Standard Webhooks with its symmetric `v1`, one signature for each secret: two while a
secret is being changed. "kie" signs the task's id and the time, and not the body; its key is the
newest secret's text. "fal" signs with Ed25519, "google" with a JWT by RS256, which says the
event again and names the receiver's address as its audience: whoever wants to check finds their
public keys in a JWKS. For these two the package `cryptography` is needed. "none" signs nothing.
"""

import asyncio
import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nbp_async.fake.chance import digest
from nbp_async.fake.task_faults import Forgery

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Scheme = Literal["standard", "kie", "fal", "google", "none"]
Headers = dict[str, str]

_USER = "fake-user"  # whom fal's signature names beside the request
_FRESH = 300  # seconds that a JWT holds
_OLD = 600.0  # seconds; receivers take what is up to five minutes old
_RSA_BITS = 2048


class Letter(msgspec.Struct, frozen=True):
    """A webhook's message.

    Attributes:
        id: Its own id, the same for every try and every copy.
        task: The id of the task that it is about.
        url: Where it goes.
        body: What it says.
        result: The images are in it, or their links.
    """

    id: str
    task: str
    url: str
    body: bytes
    result: bool = False


class Keys:
    """A vendor's signing keys; drawn from its seed, but for RSA.

    Args:
        seed: What they are drawn from.
        secrets: One or several for what is signed with a shared secret; the newest first. One that
            begins with `whsec_` is base64 behind it. By default one is drawn.

    Raises:
        ValueError: A secret is empty, or no base64 where it should be.
    """

    def __init__(self, seed: object, secrets: str | Sequence[str] | None = None) -> None:
        drawn = base64.b64encode(digest(seed, "hook", 1) + digest(seed, "hook", 2)).decode()
        secrets = [secrets] if isinstance(secrets, str) else secrets
        self.secrets = tuple(secrets or [f"whsec_{drawn}"])
        self._shared = [_key_of(secret) for secret in self.secrets]
        self._seed = seed
        self._rsa: asyncio.Future[RSAPrivateKey] | None = None
        self._forger: Keys | None = None

    async def ready(self, scheme: Scheme) -> None:
        """Load what this scheme signs with, in a thread: it is a large package.

        Raises:
            ImportError: `cryptography` is not installed.
        """
        if scheme in ("fal", "google"):
            await asyncio.to_thread(import_module, "cryptography.hazmat.primitives.asymmetric.rsa")

    async def send_as(
        self, letter: Letter, scheme: Scheme, now: float, forged: Forgery = ""
    ) -> tuple[bytes, Headers]:
        """The body and the headers of this letter, signed at `now` (seconds since 1970)."""
        signed, keys = letter, self
        if forged == "unsigned":
            scheme = "none"
        elif forged == "old":
            now -= _OLD
        elif forged == "key":
            keys = self._forger = self._forger or Keys(("forger", self._seed))
        elif forged == "id":
            letter = msgspec.structs.replace(letter, id=f"{letter.id}0", task=f"{letter.task}0")
        elif forged == "body":
            letter = msgspec.structs.replace(letter, body=b" " + letter.body)
        headers = await keys.sign(signed, scheme, int(now))
        if forged == "id":
            headers |= _ids_of(letter, scheme)
        if forged == "garbage":
            headers |= {name: "v1,%%%é" for name in headers if name.endswith("ignature")}
        return letter.body, headers

    async def jwks(self, scheme: Scheme) -> dict[str, list[dict[str, str]]]:
        """The public keys, for those who want to check."""
        if scheme == "fal":
            public = self._ed25519().public_key().public_bytes_raw()
            key = {"kty": "OKP", "crv": "Ed25519", "x": _url64(public)}
        else:
            numbers = (await self._rsa_key()).public_key().public_numbers()
            key = {"kty": "RSA", "n": _number64(numbers.n), "e": _number64(numbers.e)}
            key |= {"alg": "RS256", "use": "sig"}
        return {"keys": [{**key, "kid": self._kid(scheme)}]}

    async def sign(self, letter: Letter, scheme: Scheme, now: int) -> Headers:
        """The headers of this letter."""
        if scheme == "google":
            return {**_ids_of(letter, scheme), "webhook-timestamp": str(now),
                    "webhook-signature": await self._jwt(letter, now)}  # fmt: skip
        scheme_of: Mapping[str, Callable[[Letter, int], Headers]] = {
            "standard": self._standard, "kie": self._kie, "fal": self._fal, "none": lambda *_: {},
        }  # fmt: skip
        return scheme_of[scheme](letter, now)

    def _standard(self, letter: Letter, now: int) -> Headers:
        content = b"%b.%d.%b" % (letter.id.encode(), now, letter.body)
        marks = [f"v1,{_mac(key, content)}" for key in self._shared]
        return {
            **_ids_of(letter, "standard"), "webhook-timestamp": str(now),
            "webhook-signature": " ".join(marks),
        }  # fmt: skip

    def _kie(self, letter: Letter, now: int) -> Headers:
        mark = _mac(self.secrets[0].encode(), f"{letter.task}.{now}".encode())
        return {"x-webhook-timestamp": str(now), "x-webhook-signature": mark}

    def _fal(self, letter: Letter, now: int) -> Headers:
        lines = (letter.task, _USER, str(now), sha256(letter.body).hexdigest())
        mark = self._ed25519().sign("\n".join(lines).encode()).hex()
        return {
            **_ids_of(letter, "fal"), "x-fal-webhook-user-id": _USER,
            "x-fal-webhook-timestamp": str(now), "x-fal-webhook-signature": mark,
        }  # fmt: skip

    async def _jwt(self, letter: Letter, now: int) -> str:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        head = {"alg": "RS256", "typ": "JWT", "kid": self._kid("google")}
        event = msgspec.json.decode(letter.body)
        claims = {
            **event, "iss": "https://generativelanguage.googleapis.com", "aud": letter.url,
            "iat": now, "exp": now + _FRESH, "jti": letter.id,
        }  # fmt: skip
        parts = [_url64(msgspec.json.encode(part)) for part in (head, claims)]
        key = await self._rsa_key()
        mark = key.sign(".".join(parts).encode(), PKCS1v15(), SHA256())
        return ".".join([*parts, _url64(mark)])

    def _kid(self, scheme: str) -> str:
        return digest(self._seed, "kid", scheme).hex()[:12]

    def _ed25519(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        seed = digest(self._seed, "fal", 1) + digest(self._seed, "fal", 2)
        return Ed25519PrivateKey.from_private_bytes(seed)

    async def _rsa_key(self) -> "RSAPrivateKey":
        """Made when first wanted, in a thread: it takes longer than a loop may stand still."""
        if self._rsa is None:
            self._rsa = asyncio.ensure_future(asyncio.to_thread(_new_rsa))
        return await asyncio.shield(self._rsa)


def _new_rsa() -> "RSAPrivateKey":
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    return generate_private_key(65537, _RSA_BITS)


def _key_of(secret: str) -> bytes:
    if not secret:
        raise ValueError("a webhook's secret is not empty")
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as exc:
        raise ValueError("behind whsec_ a webhook's secret is base64") from exc


def _ids_of(letter: Letter, scheme: Scheme) -> Headers:
    if scheme == "fal":
        return {"x-fal-webhook-request-id": letter.task}
    return {"webhook-id": letter.id} if scheme in ("standard", "google") else {}


def _mac(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number64(number: int) -> str:
    return _url64(number.to_bytes((number.bit_length() + 7) // 8))
