"""Keys that signatures are verified with: shared secrets, and services' public keys."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import msgspec

from nbp_async._base.errors import ConfigError
from nbp_async._dialects.reply_fields import as_array, as_object
from nbp_async._webhooks.schemes import SignatureScheme

_SECRET_PREFIX, _PUBLIC_PREFIX = "whsec_", "whpk_"
_MIN_SECRET, _MAX_SECRET = 24, 128  # bytes; the specification says 24 to 64
_MIN_TEXT = 16  # characters of a secret that is plain text
_RSA_BITS = range(2048, 8193)
_MAX_JWKS = 100  # keys that are read of one document


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


def parse_secrets(scheme: SignatureScheme, secrets: tuple[str, ...]) -> tuple[Key, ...]:
    """The keys that were given for this scheme: several while one is being changed.

    Raises:
        ConfigError: One is not valid, or the scheme needs one and there is none.
    """
    if scheme.needs_secret and not secrets:
        raise ConfigError(f"scheme={scheme.name!r} needs secret=, which webhooks are signed with.")
    if not scheme.needs_secret and secrets:
        raise ConfigError(f"scheme={scheme.name!r} has no secret.")
    keys = tuple(_parse_secret(scheme, secret) for secret in secrets)
    if scheme.jwks_url or any(isinstance(key, Ed25519Key) for key in keys):
        _require_cryptography()
    return keys


def _parse_secret(scheme: SignatureScheme, secret: str) -> Key:
    if "v1" not in scheme.algorithms:  # the text itself is the key
        if len(secret) < _MIN_TEXT:
            raise ConfigError(f"A webhook secret has at least {_MIN_TEXT} characters.")
        return SecretKey(secret.encode())
    for prefix in (_SECRET_PREFIX, _PUBLIC_PREFIX):
        if secret.startswith(prefix):
            raw = _decode_base64(secret.removeprefix(prefix))
            break
    else:
        raise ConfigError(
            f"A webhook secret is {_SECRET_PREFIX} and base64, or a public key {_PUBLIC_PREFIX} "
            "and base64. If yours is base64 alone, write the prefix before it."
        )
    if prefix == _PUBLIC_PREFIX:
        if len(raw) != 32:
            raise ConfigError(f"A public key is {_PUBLIC_PREFIX} and 32 bytes, not {len(raw)}.")
        return Ed25519Key(raw)
    if not _MIN_SECRET <= len(raw) <= _MAX_SECRET:
        raise ConfigError(
            f"A webhook secret has {_MIN_SECRET} to {_MAX_SECRET} bytes, not {len(raw)}."
        )
    return SecretKey(raw)


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        error = ConfigError("What follows the prefix of this webhook secret is not base64.")
    raise error  # outside of the handler, so that no traceback holds the secret


def parse_jwks(document: bytes) -> tuple[Key, ...]:
    """The public keys of a JWKS; those of a kind that we do not know are left out.

    Raises:
        ValueError: It is not such a document, or has no key that we know.
    """
    try:
        entries = as_array(as_object(msgspec.json.decode(document)).get("keys"))
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ValueError("the sender's keys are not JSON") from exc
    parsed = (_parse_public_key(as_object(entry)) for entry in entries[:_MAX_JWKS])
    keys = tuple(key for key in parsed if key is not None)
    if not keys:
        raise ValueError("the sender publishes no key of a kind that we know")
    return keys


def _parse_public_key(jwk: Mapping[str, object]) -> Key | None:
    kid = jwk.get("kid")
    kid = kid if isinstance(kid, str) else ""
    try:
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            raw = decode_base64url(jwk.get("x"))
            return Ed25519Key(raw, kid) if len(raw) == 32 else None
        if jwk.get("kty") == "RSA" and jwk.get("alg", "RS256") == "RS256":
            n = int.from_bytes(decode_base64url(jwk.get("n")))
            e = int.from_bytes(decode_base64url(jwk.get("e")))
            if n.bit_length() in _RSA_BITS and e.bit_length() <= 32 and e % 2 and e > 1:
                return RsaKey(n, e, kid)
    except ValueError:
        return None
    return None


def decode_base64url(text: object) -> bytes:
    """Bytes of base64url without padding, as JWTs have it.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(text, str) or not text.isascii() or "=" in text or "+" in text or "/" in text:
        raise ValueError("not base64url")
    plain = text.translate(_TO_PLAIN_BASE64)
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64url") from exc


_TO_PLAIN_BASE64 = str.maketrans("-_", "+/")


def is_valid_signature(key: Key, signature: bytes, content: bytes) -> bool:
    """It is this key's signature of this content. Valid or not, it takes the same time."""
    if isinstance(key, SecretKey):
        return hmac.compare_digest(hmac.digest(key.key, content, "sha256"), signature)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, Ed25519Key):
            ed25519.Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, content)
        else:
            public = rsa.RSAPublicNumbers(key.e, key.n).public_key()
            public.verify(signature, content, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def import_cryptography() -> None:
    """Import what public keys need: it takes 0.1 s, so call it in a thread."""
    is_valid_signature(Ed25519Key(bytes(32)), bytes(64), b"")


def _require_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise ConfigError(
            "Signatures with public keys need the extra: pip install 'nbp-async[webhooks]'."
        )
