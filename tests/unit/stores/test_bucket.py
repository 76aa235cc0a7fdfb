"""What is tried again in a store, for how long, and in which words it is given up."""

import asyncio
import base64
import hashlib
from typing import Any

import pytest
from opendal.exceptions import PermissionDenied, Unexpected

from nbp_async._base.errors import StorageError
from nbp_async._stores.bucket import ONCE_TIMEOUT, PAUSES, RETRY_FOR, Bucket
from nbp_async._stores.checksums import compute_checksums, is_confirmed
from nbp_async._stores.store_address import store_address

pytestmark = pytest.mark.looptime
PLACE = store_address("s3://bucket/run")
TOKEN = "sig-HUSHHUSH"


class Operator:
    """Fails in the ways that it is told, one after the other, and then holds what it is given."""

    def __init__(self, *failures: Exception | float) -> None:
        self.failures = list(failures)
        self.writes = 0
        self.data = b""
        self.content_md5 = None

    async def write(self, _key: str, data: bytes, **_facts: str) -> None:
        self.writes += 1
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, float):
            await asyncio.sleep(failure)
        elif failure is not None:
            raise failure
        self.data = data

    async def stat(self, _key: str) -> "Operator":
        return self

    @property
    def content_length(self) -> int:
        return len(self.data)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


def temporary(words: str = "") -> Exception:
    return Unexpected(f"Unexpected (temporary) at write => {words}")


async def put(operator: Any, *, once: bool = False) -> float:
    """Seconds that it took."""
    loop = asyncio.get_running_loop()
    begun, data = loop.time(), b"paid for"
    bucket = Bucket(operator, PLACE, secrets=(TOKEN,))
    await bucket.put("run/a.png", data, "image/png", compute_checksums(data, b""), once=once)
    return loop.time() - begun


async def test_what_may_pass_is_tried_for_half_a_minute() -> None:
    assert await put(Operator(*[temporary()] * 6)) == pytest.approx(sum(PAUSES)) == 31.5
    operator = Operator(*[temporary()] * 7)
    with pytest.raises(StorageError):
        await put(operator)
    assert operator.writes == 7


async def test_what_takes_long_to_fail_is_not_begun_again_for_ever() -> None:
    class Slow(Operator):
        async def write(self, _key: str, data: bytes, **_facts: str) -> None:
            await asyncio.sleep(120)
            await super().write(_key, data)

    operator, loop = Slow(*[temporary()] * 9), asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(StorageError):
        await put(operator)
    assert operator.writes == 2
    assert loop.time() - begun < RETRY_FOR + 120


async def test_what_cannot_pass_is_said_at_once() -> None:
    words = 'S3Error { code: "AccessDenied", message: "No.", resource: "" }'
    operator = Operator(PermissionDenied(f"PermissionDenied (permanent) at write => {words}"))
    with pytest.raises(StorageError, match="AccessDenied: No") as caught:
        await put(operator)
    assert operator.writes == 1
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


async def test_once_is_once_and_short() -> None:
    loop = asyncio.get_running_loop()
    for failure in (temporary(), 1e6):
        operator, begun = Operator(failure), loop.time()
        with pytest.raises(StorageError):
            await put(operator, once=True)
        assert operator.writes == 1
        assert loop.time() - begun <= ONCE_TIMEOUT


async def test_no_words_hold_a_secret_or_an_address() -> None:
    words = f"send {TOKEN} to https://host/c/k?sig=abc\n\nSource:\n   dns of http://host?sig=abc\n"
    with pytest.raises(StorageError) as caught:
        await put(Operator(Unexpected(f"Unexpected (permanent) at write => {words}")))
    said = str(caught.value)
    assert "HUSHHUSH" not in said
    assert "sig=abc" not in said
    assert caught.value.__context__ is caught.value.__cause__ is None


async def test_a_key_as_short_as_a_word_cuts_no_other_word() -> None:
    operator = Operator(Unexpected("Unexpected (permanent) at write => the latest test failed"))
    bucket = Bucket(operator, PLACE, secrets=("test", "minioadmin"))  # type: ignore[arg-type]  # plays one
    with pytest.raises(StorageError, match="the latest test failed"):
        await bucket.put("a.png", b"x", "image/png", compute_checksums(b"x", b""))


async def test_a_short_object_is_sent_again() -> None:
    class Short(Operator):
        @property
        def content_length(self) -> int:
            return super().content_length - (self.writes == 1)

    operator = Short()
    assert await put(operator) == 0.5
    assert operator.writes == 2


def test_a_sum_of_another_kind_proves_nothing() -> None:
    sums = compute_checksums(b"x", b"")
    assert is_confirmed(sums, hashlib.md5(b"x").hexdigest().upper(), None)
    assert is_confirmed(sums, None, base64.b64encode(sums.md5).decode())
    assert not is_confirmed(sums, "0x8DC5", None)
    assert not is_confirmed(sums, f'"{"0" * 32}"', None)
    assert not is_confirmed(sums, '"9dd4e461268c8034f5c8564e155c67a6-2"', None)
    assert not is_confirmed(sums, None, None)
