"""What is signed is accepted, and nothing else; any headers give an event or an error."""

import base64
import hmac
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from nbp_async._webhooks.schemes import SCHEMES
from nbp_async._webhooks.signature import TASK_PLACES, VerificationRules, task_id, verify
from nbp_async._webhooks.verification_keys import Key, RsaKey, parse_jwks, parse_secrets
from nbp_async._webhooks.webhook_message import (
    InvalidBodyError,
    InvalidSignatureError,
    UnknownKeyError,
    WebhookEvent,
    WebhookMessage,
)
from nbp_async.fake.signing import OutgoingWebhook as Sent
from nbp_async.fake.signing import SigningKeys
from nbp_async.fake.task_faults import Forgery

NOW = 1_790_000_000.0
URL = "https://example.org/hook"
BODY = b'{"task_id":"task-7","status":"completed"}'
SECRETS = {
    "standard": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
    "kie": "a text of more than sixteen",
}
SIGNED = ("standard", "kie", "fal", "google")


def vendor(name: str) -> SigningKeys:
    return SigningKeys("the vendor", SECRETS.get(name))


async def known_keys(name: str, keys: SigningKeys) -> tuple[Key, ...]:
    scheme = SCHEMES[name]
    if scheme.needs_secret:
        return parse_secrets(scheme, keys.secrets)
    return parse_jwks(msgspec.json.encode(await keys.jwks(name)))  # type: ignore[arg-type]


def rules(name: str, audience: str = URL) -> VerificationRules:
    return VerificationRules(scheme=SCHEMES[name], audience=audience)


async def play(name: str, forged: Forgery = "", *, sent_at: float = NOW) -> WebhookEvent:
    keys = vendor(name)
    sent = Sent("msg-1", "task-7", URL, BODY)
    body, headers = await keys.send_as(sent, name, sent_at, forged)  # type: ignore[arg-type]
    known = await known_keys(name, keys)
    return verify(message_of(headers.items(), body), rules(name), known, NOW)


def message_of(headers: Iterable[tuple[str, str]], body: bytes) -> WebhookMessage:
    return WebhookMessage(CIMultiDict(headers), body)


def task_in(body: bytes) -> str:
    return task_id(message_of((), body).document, TASK_PLACES)


def standard_headers(key: bytes, time: str, message: str = "msg-1") -> dict[str, str]:
    content = f"{message}.{time}.".encode() + BODY
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": time,
        "webhook-signature": f"v1,{signature}",
    }


@pytest.mark.parametrize("name", [*SIGNED, "none"])
async def test_what_its_sender_signed_is_proved(name: str) -> None:
    assert (await play(name)).task == "task-7"


EXAMPLE = {
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def verified(headers: dict[str, str]) -> WebhookEvent:
    keys = parse_secrets(SCHEMES["standard"], ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",))
    message = message_of(headers.items(), b'{"test": 2432232314}')
    return verify(message, rules("standard"), keys, 1614265330.0)


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_the_example_of_the_specification_is_proved(prefix: str) -> None:
    assert verified({f"{prefix}-{name}": EXAMPLE[name] for name in EXAMPLE}) == WebhookEvent(
        EXAMPLE["id"], "", "", "standard", b'{"test": 2432232314}', 1614265330.0
    )


@pytest.mark.parametrize("name", EXAMPLE)
def test_headers_of_both_names_are_not_mixed(name: str) -> None:
    headers = {f"svix-{each}": EXAMPLE[each] for each in EXAMPLE if each != name}
    with pytest.raises(InvalidSignatureError):
        verified(headers | {f"webhook-{name}": EXAMPLE[name]})


@pytest.mark.parametrize("forged", ["key", "body", "id", "old", "garbage", "unsigned"])
@pytest.mark.parametrize("name", SIGNED)
async def test_a_forged_one_is_refused(name: str, forged: Forgery) -> None:
    if forged == "body" and name in ("kie", "google"):
        assert (await play(name, forged)).task == "task-7"  # their signature does not cover it
    elif forged == "id" and name == "google":
        assert (await play(name, forged)).id == "msg-1"  # the token's own id counts
    elif forged == "id" and name == "kie":
        assert (await play(name, forged)).task == "task-7"  # it sends no id in a header
    else:
        with pytest.raises(InvalidSignatureError):
            await play(name, forged)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("off", [-301, 301, 600, -86_400])
async def test_what_is_signed_for_another_time_is_refused(name: str, off: float) -> None:
    with pytest.raises(InvalidSignatureError):
        await play(name, sent_at=NOW + off)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("off", [-299, 299])
async def test_five_minutes_either_way_are_let_through(name: str, off: float) -> None:
    await play(name, sent_at=NOW + off)


@pytest.mark.parametrize(
    "time",
    [
        "nan",
        "inf",
        "-inf",
        f"{NOW:.1f}",
        f"{NOW:.0f}e0",
        f"-{NOW:.0f}",
        f"+{NOW:.0f}",
        "1_790_000_000",
        "0x6AB13B80",
        "１７９０００００００",
        "",
        "9" * 400,
    ],
)
def test_a_time_that_is_no_whole_number_is_refused_though_it_is_signed(time: str) -> None:
    keys = parse_secrets(SCHEMES["standard"], (SECRETS["standard"],))
    message = message_of(standard_headers(bytes(range(32)), time).items(), BODY)
    with pytest.raises(InvalidSignatureError):
        verify(message, rules("standard"), keys, NOW)


@given(time=st.integers(-(10**15), 10**15))
def test_a_signed_time_is_taken_if_and_only_if_it_is_near(time: int) -> None:
    keys = parse_secrets(SCHEMES["standard"], (SECRETS["standard"],))
    message = message_of(standard_headers(bytes(range(32)), str(time)).items(), BODY)
    try:
        verify(message, rules("standard"), keys, NOW)
    except InvalidSignatureError:
        assert abs(time - NOW) > 300
    else:
        assert abs(time - NOW) <= 300


async def test_with_two_secrets_either_signature_is_enough() -> None:
    old, new = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
    sent = Sent("msg-1", "task-7", URL, BODY)
    for secrets, known in (([new, old], (old,)), ([new, old], (new,)), ([old], (new, old))):
        body, headers = await SigningKeys(0, secrets).send_as(sent, "standard", NOW)
        keys = parse_secrets(SCHEMES["standard"], known)
        assert verify(message_of(headers.items(), body), rules("standard"), keys, NOW).id == "msg-1"


def test_a_public_key_checks_the_newer_kind_of_signature() -> None:
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    keys = parse_secrets(SCHEMES["standard"], (f"whpk_{public}",))
    signature = base64.b64encode(private.sign(f"msg-1.{NOW:.0f}.".encode() + BODY)).decode()
    headers = standard_headers(b"unknown", f"{NOW:.0f}")
    headers["webhook-signature"] += f" v1a,{signature} v9,of/the/future"
    assert verify(message_of(headers.items(), BODY), rules("standard"), keys, NOW).task == "task-7"
    headers["webhook-signature"] = f"v1,{signature}"  # a signature of one kind is none of another
    with pytest.raises(InvalidSignatureError):
        verify(message_of(headers.items(), BODY), rules("standard"), keys, NOW)


def test_json_that_says_the_same_in_other_bytes_is_another_body() -> None:
    keys = parse_secrets(SCHEMES["standard"], (SECRETS["standard"],))
    headers = standard_headers(bytes(range(32)), f"{NOW:.0f}")
    again = msgspec.json.format(BODY, indent=1)
    with pytest.raises(InvalidSignatureError):
        verify(message_of(headers.items(), again), rules("standard"), keys, NOW)


def test_two_headers_of_a_kind_are_refused() -> None:
    keys = parse_secrets(SCHEMES["standard"], (SECRETS["standard"],))
    pairs = list(standard_headers(bytes(range(32)), f"{NOW:.0f}").items())
    for pair in pairs:
        with pytest.raises(InvalidSignatureError):
            verify(message_of([*pairs, pair], BODY), rules("standard"), keys, NOW)


def test_a_number_of_five_thousand_digits_is_no_document() -> None:
    with pytest.raises(InvalidBodyError):
        task_in(b'{"id":' + b"9" * 5000 + b"}")


def test_a_body_is_parsed_once_and_not_before_it_is_asked_for() -> None:
    message = message_of((), BODY)
    assert "document" not in vars(message)
    assert message.document is message.document


def test_what_is_proved_and_no_json_is_called_so() -> None:
    key = bytes(range(32))
    content = f"msg-1.{NOW:.0f}.".encode() + b"\xff<html>"
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    headers = {**standard_headers(key, f"{NOW:.0f}"), "webhook-signature": f"v1,{signature}"}
    keys = parse_secrets(SCHEMES["standard"], (SECRETS["standard"],))
    with pytest.raises(InvalidBodyError):
        verify(message_of(headers.items(), b"\xff<html>"), rules("standard"), keys, NOW)


async def test_a_token_for_another_address_is_refused() -> None:
    keys = vendor("google")
    body, headers = await keys.send_as(Sent("m", "task-7", URL, BODY), "google", NOW)
    message, known = message_of(headers.items(), body), await known_keys("google", keys)
    with pytest.raises(InvalidSignatureError):
        verify(message, rules("google", "https://example.org/other"), known, NOW)


async def test_a_token_that_says_it_needs_no_signature_is_refused() -> None:
    keys = vendor("google")
    body, headers = await keys.send_as(Sent("m", "task-7", URL, BODY), "google", NOW)
    known = await known_keys("google", keys)
    _, claims, signature = headers["webhook-signature"].split(".")
    for head in (b'{"alg":"none"}', b'{"alg":"HS256"}', b'{"alg":"RS256","crit":["b64"]}', b"[]"):
        forged = base64.urlsafe_b64encode(head).rstrip(b"=").decode()
        headers["webhook-signature"] = f"{forged}.{claims}.{signature}"
        with pytest.raises(InvalidSignatureError):
            verify(message_of(headers.items(), body), rules("google"), known, NOW)


@pytest.mark.parametrize("name", ["fal", "google"])
async def test_a_signature_by_a_key_that_is_not_known_asks_for_newer_keys(name: str) -> None:
    other = await known_keys(name, SigningKeys("another vendor"))
    keys = vendor(name)
    body, headers = await keys.send_as(Sent("m", "t", URL, BODY), name, NOW)  # type: ignore[arg-type]
    with pytest.raises(UnknownKeyError):
        verify(message_of(headers.items(), body), rules(name), other, NOW)


async def test_who_sends_no_id_is_known_by_the_bytes() -> None:
    first, again = await play("kie"), await play("kie", sent_at=NOW - 100)
    assert first.id == again.id
    other = await play("kie", "body")
    assert other.id != first.id


text = st.text(st.characters(codec="latin-1"), max_size=40) | st.sampled_from(
    ["v1,", ",", "v1,a,b", "v1  v1", "a.b.c", "..", "v1a,=", "é", "\udcff", "NaN", "1e400", "0"]
)


@pytest.mark.parametrize("name", SIGNED)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_header_whatever_raises_anything_but_a_refusal(name: str, data: st.DataObject) -> None:
    scheme = SCHEMES[name]
    names = [
        h
        for h in (scheme.signature_header, scheme.id_header, scheme.time_header, scheme.user_header)
        if h
    ]
    pairs = [
        (header, data.draw(text)) for header in names for _ in range(data.draw(st.integers(0, 2)))
    ]
    if scheme.time_header and data.draw(st.booleans()):
        pairs.append((scheme.time_header, f"{NOW:.0f}"))
    body = data.draw(st.binary(max_size=60) | st.just(BODY) | st.just(b"[" * 100_000))
    with pytest.raises(InvalidSignatureError):
        verify(message_of(pairs, body), rules(name), KEYS[name], NOW)


KEYS: dict[str, tuple[Key, ...]] = {
    "standard": parse_secrets(SCHEMES["standard"], (SECRETS["standard"], "whpk_" + "A" * 43 + "=")),
    "kie": parse_secrets(SCHEMES["kie"], (SECRETS["kie"],)),
    "fal": (),
    "google": (),
}

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


CLAIMS = ["aud", "iat", "exp", "nbf", "jti", "id"]


@given(claims=st.dictionaries(st.sampled_from(CLAIMS), json_values))
def test_no_signed_claim_whatever_raises_anything_but_a_refusal(claims: dict[str, Any]) -> None:
    message = message_of([("webhook-signature", signed_token(claims))], BODY)
    with pytest.raises(InvalidSignatureError):
        verify(message, rules("google"), (rsa_public(),), NOW)


@pytest.mark.parametrize("time", [NOW + 0.5, 10**300, True, "1790000000", [NOW], -1])
def test_a_token_with_an_odd_time_is_refused(time: object) -> None:
    for name in ("iat", "exp"):
        message = message_of([("webhook-signature", signed_token({"aud": URL, name: time}))], BODY)
        with pytest.raises(InvalidSignatureError):
            verify(message, rules("google"), (rsa_public(),), NOW)


def test_a_token_may_name_several_addresses() -> None:
    token = signed_token({"aud": ["https://other.example", URL], "iat": int(NOW)})
    message = message_of([("webhook-signature", token)], BODY)
    assert verify(message, rules("google"), (rsa_public(),), NOW).task == "task-7"


@pytest.mark.parametrize(
    "head", [{"alg": "HS256"}, {"alg": "none"}, {"alg": ["RS256"]}, {"crit": ["exp"]}]
)
def test_a_token_that_is_signed_and_says_that_it_is_of_another_kind_is_refused(
    head: dict[str, Any],
) -> None:
    token = signed_token({"aud": URL, "iat": int(NOW)}, **head)
    with pytest.raises(InvalidSignatureError):
        message = message_of([("webhook-signature", token)], BODY)
        verify(message, rules("google"), (rsa_public(),), NOW)


def test_the_name_of_a_key_is_no_more_than_that() -> None:
    token = signed_token({"aud": URL, "iat": int(NOW)}, kid="../../etc/passwd")
    message = message_of([("webhook-signature", token)], BODY)
    assert verify(message, rules("google"), (rsa_public(),), NOW).task == "task-7"
    numbers = rsa_key().public_key().public_numbers()
    with pytest.raises(UnknownKeyError):
        verify(message, rules("google"), (RsaKey(numbers.n, numbers.e, "k1"),), NOW)


@cache
def rsa_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def rsa_public() -> RsaKey:
    numbers = rsa_key().public_key().public_numbers()
    return RsaKey(numbers.n, numbers.e)


def signed_token(claims: dict[str, Any], **head: Any) -> str:
    sections = (json.dumps({"alg": "RS256", **head}).encode(), json.dumps(claims).encode())
    content = b".".join(base64.urlsafe_b64encode(section).rstrip(b"=") for section in sections)
    signature = rsa_key().sign(content, PKCS1v15(), SHA256())
    return f"{content.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@given(json_values)
def test_a_task_is_found_in_any_document_or_not(document: Any) -> None:
    assert isinstance(task_in(msgspec.json.encode(document)), str)


@pytest.mark.parametrize(
    ("body", "task"),
    [
        ('{"task_id":"a"}', "a"),
        ('{"id":"a"}', "a"),
        ('{"data":{"taskId":"a"}}', "a"),
        ('{"data":{"id":"a"},"id":"evt"}', "a"),
        ('{"request_id":"a","id":"b"}', "a"),
        ('{"id":17}', "17"),
        ('[{"task_id":"a"}]', "a"),
        ("{}", ""),
        ("7", ""),
        ('{"id":"' + "x" * 300 + '"}', ""),
        ('{"id":"a\\u0000b"}', ""),
    ],
)
def test_a_task_is_found_where_services_put_it(body: str, task: str) -> None:
    assert task_in(body.encode()) == task
