"""Keys that signatures are checked with: shared secrets, and services' public keys."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import msgspec

from nbp_async._dialects.read import items, table
from nbp_async._errors import ConfigError
from nbp_async._webhooks.schemes import Scheme

_SECRET, _PUBLIC = "whsec_", "whpk_"
_SHORTEST, _LONGEST = 24, 128  # bytes of a secret; the specification says 24 to 64
_SHORTEST_TEXT = 16  # characters of a secret that is plain text
_RSA_BITS = range(2048, 8193)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """Known to the sender and to us."""

    key: bytes

    def __repr__(self) -> str:
        return "SecretKey(…)"


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """A public key of 32 bytes; `kid` is its name in a JWKS, or ""."""

    raw: bytes
    kid: str = ""


@dataclass(frozen=True, slots=True)
class RsaKey:
    """A public key: modulus and exponent."""

    n: int
    e: int
    kid: str = ""


Key = SecretKey | Ed25519Key | RsaKey


def keys_of(scheme: Scheme, secrets: tuple[str, ...]) -> tuple[Key, ...]:
    """The keys that were given for this scheme: several while one is being changed.

    Raises:
        ConfigError: One of them cannot be a key, or there is none where one is needed.
    """
    if scheme.shared and not secrets:
        raise ConfigError(
            f"Webhooks signed as {scheme.name!r} need the secret they are signed with."
        )
    if not scheme.shared and secrets:
        raise ConfigError(f"Webhooks signed as {scheme.name!r} have no secret.")
    keys = tuple(_key_of(scheme, secret) for secret in secrets)
    if scheme.keys or any(isinstance(key, Ed25519Key) for key in keys):
        _need_cryptography()
    return keys


def _key_of(scheme: Scheme, secret: str) -> Key:
    if "v1" not in scheme.how:  # the text itself is the key
        if len(secret) < _SHORTEST_TEXT:
            raise ConfigError(f"A webhook secret has {_SHORTEST_TEXT} characters at least.")
        return SecretKey(secret.encode())
    for prefix in (_SECRET, _PUBLIC):
        if secret.startswith(prefix):
            raw = _plain64(secret.removeprefix(prefix))
            break
    else:
        raise ConfigError(
            f"A webhook secret begins with {_SECRET}, or a public key with {_PUBLIC}, and is "
            "base64 behind that: if yours is base64 alone, write the prefix before it."
        )
    if prefix == _PUBLIC:
        if len(raw) != 32:
            raise ConfigError(f"Behind {_PUBLIC} there are 32 bytes of a public key.")
        return Ed25519Key(raw)
    if not _SHORTEST <= len(raw) <= _LONGEST:
        raise ConfigError(f"A webhook secret has {_SHORTEST} to {_LONGEST} bytes, not {len(raw)}.")
    return SecretKey(raw)


def _plain64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        problem = ConfigError("A webhook secret is base64 behind its prefix, and this is not.")
    raise problem


def read_jwks(document: bytes) -> tuple[Key, ...]:
    """The public keys of a JWKS; what is of another kind is passed over.

    Raises:
        ValueError: It is no such document, or has no key that we know.
    """
    try:
        told = items(table(msgspec.json.decode(document)).get("keys"))
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ValueError("the sender's keys are no JSON") from exc
    keys = tuple(key for one in told[:100] if (key := _public(table(one))) is not None)
    if not keys:
        raise ValueError("the sender publishes no key of a kind that we know")
    return keys


def _public(told: Mapping[str, object]) -> Key | None:
    kid = told.get("kid")
    kid = kid if isinstance(kid, str) else ""
    try:
        if told.get("kty") == "OKP" and told.get("crv") == "Ed25519":
            raw = url64(told.get("x"))
            return Ed25519Key(raw, kid) if len(raw) == 32 else None
        if told.get("kty") == "RSA" and told.get("alg", "RS256") == "RS256":
            n = int.from_bytes(url64(told.get("n")))
            e = int.from_bytes(url64(told.get("e")))
            if n.bit_length() in _RSA_BITS and e.bit_length() <= 32 and e % 2 and e > 1:
                return RsaKey(n, e, kid)
    except ValueError:
        return None
    return None


def url64(text: object) -> bytes:
    """Base64 in its spelling for addresses, without its padding.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(text, str) or not text.isascii() or "=" in text or "+" in text or "/" in text:
        raise ValueError("no base64url")
    plain = text.translate(_TO_PLAIN)
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as exc:
        raise ValueError("no base64url") from exc


_TO_PLAIN = str.maketrans("-_", "+/")


def holds(key: Key, mark: bytes, content: bytes) -> bool:
    """This is the key's signature of this content. Takes as long whether it is or not."""
    if isinstance(key, SecretKey):
        return hmac.compare_digest(hmac.digest(key.key, content, "sha256"), mark)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, Ed25519Key):
            ed25519.Ed25519PublicKey.from_public_bytes(key.raw).verify(mark, content)
        else:
            public = rsa.RSAPublicNumbers(key.e, key.n).public_key()
            public.verify(mark, content, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def load() -> None:
    """Import what public keys need: a tenth of a second, so in a thread."""
    holds(Ed25519Key(bytes(32)), bytes(64), b"")


def _need_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise ConfigError(
            "Signatures with public keys need the extra: pip install 'nbp-async[webhooks]'."
        )
