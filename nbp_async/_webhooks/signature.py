"""Verify that a webhook is its sender's: raw bytes in, an event out. No I/O, no clock of its own.

    message ──► signature over the raw bytes ──► its time ──► body parsed, once ──► event
                        │                            │               │
                        └── InvalidSignatureError ───┘               └── InvalidBodyError

Nothing is parsed before the signature is valid, and JSON is never encoded again: the same JSON in
other bytes has another signature. Two schemes leave no choice: kie signs the task's id, which is
in the body, and Google's token is a document itself.

Whatever the headers hold, the result is an event or one of these errors. The reference
implementation of Standard Webhooks raises ValueError and UnicodeDecodeError on malformed headers
and accepts times that are not whole numbers, so it is not used.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from nbp_async._dialects.json_path import find_text
from nbp_async._dialects.reply_fields import as_object
from nbp_async._webhooks.schemes import Algorithm, SignatureScheme, SignedPart
from nbp_async._webhooks.verification_keys import (
    Ed25519Key,
    Key,
    RsaKey,
    SecretKey,
    decode_base64url,
    is_valid_signature,
)
from nbp_async._webhooks.webhook_message import (
    InvalidBodyError,
    InvalidSignatureError,
    UnknownKeyError,
    WebhookEvent,
    WebhookMessage,
)

TOLERANCE = 300  # seconds that a signature's time may differ from ours, either way
_MAX_SIGNATURES = 16  # in one header
_MAX_ID = 256  # characters
_MAX_TIME_DIGITS = 12

# Where services put the task's id and its state, the surest place first.
TASK_PLACES = (
    "task_id",
    "taskId",
    "data.task_id",
    "data.taskId",
    "request_id",
    "data.id",
    "id",
)
_STATE_PLACES = ("status", "state", "data.status", "data.state", "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRules:
    """What a webhook must satisfy.

    Attributes:
        scheme: How it is signed.
        audience: Our own address, for tokens that name it.
        task_places: Where the task's id is in the body, the surest place first.
    """

    scheme: SignatureScheme
    audience: str = ""
    task_places: tuple[str, ...] = TASK_PLACES


def verify(
    message: WebhookMessage, rules: VerificationRules, keys: Sequence[Key], now: float
) -> WebhookEvent:
    """Verify that the message is its sender's, and read it; one valid key is enough.

    Args:
        message: What came.
        rules: How it must be signed, and for whom.
        keys: What the sender may have signed with.
        now: Seconds since 1970.

    Raises:
        InvalidSignatureError: It is not proved. UnknownKeyError if newer public keys might do.
        InvalidBodyError: It is proved, but not JSON.
    """
    scheme = rules.scheme.as_named_in(message.headers)
    rules = replace(rules, scheme=scheme)
    claims: Mapping[str, object] = {}
    if scheme.is_token:
        claims = _verify_token(message, rules, keys, now)
    elif scheme.signature_header:
        _verify_time(message.header(scheme.time_header), now)
        _verify_signatures(message, rules, keys)
    document = message.document
    # What a token says of the task is signed, so it goes before the body, which is not.
    source = claims if task_id(claims, rules.task_places) else document
    return WebhookEvent(
        id=_message_id(message, scheme, claims),
        task=task_id(source, rules.task_places),
        state=_short_text(find_text(source, _STATE_PLACES)).lower(),
        scheme=scheme.name,
        body=message.body,
        received_at=now,
    )


def task_id(document: object, places: Sequence[str]) -> str:
    """The id of the task that a document is about, or ""."""
    return _short_text(find_text(document, places))


def _short_text(text: str) -> str:
    return text if len(text) <= _MAX_ID and text.isascii() and text.isprintable() else ""


def _message_id(
    message: WebhookMessage, scheme: SignatureScheme, claims: Mapping[str, object]
) -> str:
    """The sender's id of the message. A sender without ids repeats the same bytes: their hash."""
    if scheme.is_token:
        known = claims.get("jti")
        if isinstance(known, str) and 0 < len(known) <= _MAX_ID:
            return known
        return f"{scheme.name}:{message.sha256[:32]}"
    if not scheme.id_header:
        return f"{scheme.name}:{message.sha256}"
    known = message.header(scheme.id_header)
    if len(known) > _MAX_ID:
        raise InvalidSignatureError("its id is too long")
    # fal's id is the task's: another body under it is another message.
    return known if "body" in scheme.signed_parts else f"{known}:{message.sha256[:32]}"


def _verify_time(text: str, now: float) -> None:
    """Whole seconds, and near now. Digits alone: "nan" would be within any tolerance."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_TIME_DIGITS):
        raise InvalidSignatureError("its time is not a whole number of seconds")
    if not abs(int(text) - now) <= TOLERANCE:
        raise InvalidSignatureError(f"its time is more than {TOLERANCE} s from ours")


def _verify_signatures(
    message: WebhookMessage, rules: VerificationRules, keys: Sequence[Key]
) -> None:
    scheme = rules.scheme
    content = scheme.separator.encode().join(
        _signed_bytes(message, rules, part) for part in scheme.signed_parts
    )
    signatures = message.header(scheme.signature_header).split(" ")
    if len(signatures) > _MAX_SIGNATURES:
        raise InvalidSignatureError("too many signatures")
    is_valid = False
    for text in signatures:
        algorithm, signature = _parse_signature(text, scheme)
        for key in keys:  # all of them: the time it takes must not tell which one is valid
            if algorithm is not None and isinstance(key, _KEY_OF[algorithm]):
                is_valid |= is_valid_signature(key, signature, content)
    if not is_valid:
        error = UnknownKeyError if scheme.jwks_url else InvalidSignatureError
        raise error("no signature is valid")


_KEY_OF: dict[Algorithm, type] = {"hmac": SecretKey, "ed25519": Ed25519Key, "rs256": RsaKey}


def _parse_signature(text: str, scheme: SignatureScheme) -> tuple[Algorithm | None, bytes]:
    """Its algorithm and bytes; None for what is malformed, or of a version yet to come."""
    version, comma, rest = text.partition(",")
    if "" in scheme.algorithms:
        version, comma, rest = "", ",", text
    algorithm = scheme.algorithms.get(version) if comma else None
    try:
        signature = bytes.fromhex(rest) if scheme.is_hex else base64.b64decode(rest, validate=True)
    except ValueError:
        return None, b""
    return algorithm, signature


def _signed_bytes(message: WebhookMessage, rules: VerificationRules, part: SignedPart) -> bytes:
    if part == "body":
        return message.body
    if part == "sha256":
        return message.sha256.encode()
    if part == "task":
        return _unverified_task(message, rules).encode()
    return message.header(getattr(rules.scheme, f"{part}_header")).encode()


def _unverified_task(message: WebhookMessage, rules: VerificationRules) -> str:
    """The task's id, needed to verify the signature over it. Not JSON is not signed, either."""
    try:
        task = task_id(message.document, rules.task_places)
    except InvalidBodyError:
        task = ""
    if not task:
        raise InvalidSignatureError("the body has no task id, which is what is signed")
    return task


def _verify_token(
    message: WebhookMessage, rules: VerificationRules, keys: Sequence[Key], now: float
) -> Mapping[str, object]:
    """The claims of a JWT that is signed by RS256 and made for us."""
    token = message.header(rules.scheme.signature_header)
    head, _, rest = token.partition(".")
    claims, dot, signature = rest.partition(".")
    if not dot or "." in signature:
        raise InvalidSignatureError("the signature is not a token")
    header = _token_section(head)
    if header.get("alg") != "RS256" or "crit" in header:
        raise InvalidSignatureError("the token is not signed as the sender signs")
    kid = header.get("kid")
    known = [key for key in keys if isinstance(key, RsaKey) and (not key.kid or key.kid == kid)]
    content, raw = f"{head}.{claims}".encode(), _token_bytes(signature)
    if not any(is_valid_signature(key, raw, content) for key in known):
        error = InvalidSignatureError if known else UnknownKeyError
        raise error("the token is not signed with a key of the sender")
    verified = _token_section(claims)
    _verify_claims(verified, now, rules.audience)
    return verified


def _verify_claims(claims: Mapping[str, object], now: float, audience: str) -> None:
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise InvalidSignatureError("the token is made for another address")
    times = {name: claims[name] for name in ("iat", "nbf", "exp") if claims.get(name) is not None}
    if not times.keys() & {"iat", "exp"}:
        raise InvalidSignatureError("the token has no time")
    for name, at in times.items():
        if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < 10**_MAX_TIME_DIGITS:
            raise InvalidSignatureError("a time in the token is not a whole number")
        late, early = now - at > TOLERANCE, at - now > TOLERANCE
        if (late and name != "nbf") or (early and name != "exp"):
            raise InvalidSignatureError(f"the token's time is more than {TOLERANCE} s from ours")


def _token_section(text: str) -> Mapping[str, object]:
    try:
        return as_object(msgspec.json.decode(_token_bytes(text)))
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise InvalidSignatureError("the signature is not a token") from exc


def _token_bytes(text: str) -> bytes:
    try:
        return decode_base64url(text)
    except ValueError as exc:
        raise InvalidSignatureError("the signature is not a token") from exc
