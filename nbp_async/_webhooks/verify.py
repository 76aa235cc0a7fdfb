"""Is a webhook its sender's? Raw bytes in, a proof out. No I/O and no clock of its own.

The bytes are checked as they came: nothing of them is parsed before, and they are never written
again, for JSON that says the same in other bytes has another signature. Two schemes leave no other
way: kie signs the task's id, which is in the body, and Google's token is a document itself.

Whatever headers say, the answer is a proof or `Forged`. The reference implementation of Standard
Webhooks raises ValueError and UnicodeDecodeError on odd ones, and takes times that are no whole
numbers; so none of it is used.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from nbp_async._dialects.places import words
from nbp_async._dialects.read import items, table
from nbp_async._webhooks.keys import Ed25519Key, Key, RsaKey, SecretKey, holds, url64
from nbp_async._webhooks.letter import Forged, Letter, UnknownKey, Unreadable
from nbp_async._webhooks.schemes import How, Scheme

TOLERANCE = 300  # seconds that a signature's time may differ from ours, either way
_MOST_MARKS = 16  # signatures in one header
_LONGEST_ID = 256
_TIME_DIGITS = 12

# Where services put the task's id, the surest first.
TASK = (
    "task_id", "taskId", "data.task_id", "data.taskId", "request_id", "data.id", "id",
)  # fmt: skip
STATE = ("status", "state", "data.status", "data.state", "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a receiver asks of a letter.

    Attributes:
        scheme: How it should be signed.
        audience: Our own address, for tokens that name it.
        places: Where the task's id is, the surest first.
    """

    scheme: Scheme
    audience: str = ""
    places: tuple[str, ...] = TASK


@dataclass(frozen=True, slots=True)
class Proof:
    """It is the sender's.

    Attributes:
        id: The message's own: the same for every try and every copy of it.
        task: The id of the task it is about, or "".
        state: What it says of that task, in lower case, or "".
    """

    id: str
    task: str
    state: str = ""


def check(letter: Letter, terms: Terms, keys: Sequence[Key], now: float) -> Proof:
    """Prove that the letter is its sender's; any one of the keys is enough.

    Args:
        letter: What came.
        terms: How it should be signed, and for whom.
        keys: What the sender may have signed with.
        now: Seconds since 1970.

    Raises:
        Forged: It is not proved. UnknownKey if newer public keys might prove it.
        Unreadable: It is proved, and no JSON.
    """
    scheme = terms.scheme
    if scheme.how.get("") == "rs256":
        return _by_token(letter, terms, keys, now)
    if scheme.mark:
        _fresh(letter.one(scheme.time), now)
        _by_mark(letter, terms, keys)
    document = _document(letter.body)
    return Proof(_id_of(letter, scheme), _plain(words(document, terms.places)), _state(document))


def task_in(body: bytes, places: Sequence[str] = TASK) -> str:
    """The id of the task that a body tells of, or "".

    Raises:
        Unreadable: It is no JSON.
    """
    return _plain(words(_document(body), places))


def _by_mark(letter: Letter, terms: Terms, keys: Sequence[Key]) -> None:
    scheme = terms.scheme
    content = scheme.joint.encode().join(_part(letter, terms, part) for part in scheme.signed)
    marks = letter.one(scheme.mark).split(" ")
    if len(marks) > _MOST_MARKS:
        raise Forged("too many signatures")
    found = False
    for text in marks:
        how, mark = _mark_of(text, scheme)
        for key in keys:  # all of them, so that the time says nothing of which one holds
            if how is not None and isinstance(key, _KIND_OF[how]):
                found |= holds(key, mark, content)
    if not found:
        raise (UnknownKey if scheme.keys else Forged)("no signature holds")


_KIND_OF: dict[How, type] = {"hmac": SecretKey, "ed25519": Ed25519Key, "rs256": RsaKey}


def _mark_of(text: str, scheme: Scheme) -> tuple[How | None, bytes]:
    """What kind of signature it is, and its bytes; None for one that is none, or of the future."""
    version, comma, rest = text.partition(",")
    if "" in scheme.how:
        version, comma, rest = "", ",", text
    how = scheme.how.get(version) if comma else None
    try:
        mark = bytes.fromhex(rest) if scheme.hexed else base64.b64decode(rest, validate=True)
    except ValueError:
        return None, b""
    return how, mark


def _part(letter: Letter, terms: Terms, part: str) -> bytes:
    if part == "body":
        return letter.body
    if part == "sha256":
        return hashlib.sha256(letter.body).hexdigest().encode()
    if part == "task":
        return _task_unproved(letter.body, terms.places).encode()
    return letter.one(getattr(terms.scheme, part)).encode()


def _task_unproved(body: bytes, places: Sequence[str]) -> str:
    try:
        task = task_in(body, places)
    except Unreadable:
        task = ""
    if not task:
        raise Forged("the body names no task, and that is what is signed")
    return task


def _fresh(text: str, now: float) -> None:
    """Whole seconds, and not long ago; digits alone, for "nan" is never too old."""
    if not (text.isascii() and text.isdigit() and len(text) <= _TIME_DIGITS):
        raise Forged("its time is no whole number of seconds")
    if not abs(int(text) - now) <= TOLERANCE:
        raise Forged("it is signed for another time")


def _id_of(letter: Letter, scheme: Scheme) -> str:
    """The sender's id of the message. Who sends none repeats the same bytes: they stand for it."""
    if not scheme.id:
        return f"{scheme.name}:{hashlib.sha256(letter.body).hexdigest()}"
    known = letter.one(scheme.id)
    if len(known) > _LONGEST_ID:
        raise Forged("its id is too long")
    # fal's id is that of the task: what else it says, if anything, is another message.
    return known if "body" in scheme.signed else f"{known}:{_digest(letter.body)}"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _by_token(letter: Letter, terms: Terms, keys: Sequence[Key], now: float) -> Proof:
    """A JWT by RS256 whose audience we are. What it says of the task goes before the body."""
    token = letter.one(terms.scheme.mark)
    head, _, rest = token.partition(".")
    claims, dot, mark = rest.partition(".")
    if not dot or "." in mark:
        raise Forged("no token")
    named = _section(head)
    if named.get("alg") != "RS256" or "crit" in named:
        raise Forged("the token is signed in another way than the sender's")
    kid = named.get("kid")
    chosen = [k for k in keys if isinstance(k, RsaKey) and (not k.kid or k.kid == kid)]
    content, raw = f"{head}.{claims}".encode(), _bytes_of(mark)
    if not any(holds(key, raw, content) for key in chosen):
        raise (Forged if chosen else UnknownKey)("no key of the sender's signed the token")
    said = _section(claims)
    _check_claims(said, now, terms.audience)
    known = said.get("jti")
    name = known if isinstance(known, str) and 0 < len(known) <= _LONGEST_ID else ""
    name = name or f"{terms.scheme.name}:{_digest(letter.body)}"
    for document in (said, _document(letter.body)):
        task = _plain(words(document, terms.places))
        if task:
            return Proof(name, task, _state(document))
    return Proof(name, "")


def _check_claims(said: Mapping[str, object], now: float, audience: str) -> None:
    meant = said.get("aud")
    if audience not in (meant if isinstance(meant, list) else [meant]):
        raise Forged("the token is meant for another address")
    times = {name: said[name] for name in ("iat", "nbf", "exp") if said.get(name) is not None}
    if not times.keys() & {"iat", "exp"}:
        raise Forged("the token has no time")
    for name, at in times.items():
        if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < 10**_TIME_DIGITS:
            raise Forged("a time in the token is no whole number")
        late, early = now - at > TOLERANCE, at - now > TOLERANCE
        if (late and name != "nbf") or (early and name != "exp"):
            raise Forged("the token is of another time")


def _section(text: str) -> Mapping[str, object]:
    try:
        return table(msgspec.json.decode(_bytes_of(text)))
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise Forged("no token") from exc


def _bytes_of(text: str) -> bytes:
    try:
        return url64(text)
    except ValueError as exc:
        raise Forged("no token") from exc


def _document(body: bytes) -> object:
    try:
        document: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise Unreadable("the body is no JSON") from exc
    return items(document)[0] if items(document) else document


def _state(document: object) -> str:
    return _plain(words(document, STATE)).lower()


def _plain(text: str) -> str:
    return text if len(text) <= _LONGEST_ID and text.isascii() and text.isprintable() else ""
