"""Several keys of one account: the next takes the place of one that the vendor refuses."""

import logging
from pathlib import Path

import pytest

from nbp_async._base.errors import AuthError, ConfigError
from nbp_async._client.client import Client
from nbp_async._models.settings import Limits, Retry
from nbp_async._vendors.profiles import DialectName, fake_profile
from nbp_async.fake import FakeServer, faults
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, profile

pytestmark = pytest.mark.looptime

REVOKED = "sk-canary-key-that-was-revoked-0002"
OTHER = "sk-canary-key-of-another-holder-0003"


@pytest.mark.parametrize("dialect", ["openai_images", "gemini"])
async def test_the_next_key_makes_what_a_revoked_one_was_sent_for(
    dialect: DialectName, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten requests are out with the first key: each is refused for free, and said once."""
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        limits = Limits(max_in_flight=10)
        async with Client(profile(server, dialect), [REVOKED, KEY], limits=limits) as gen:
            with caplog.at_level(logging.WARNING):
                batch = await gen.many([f"bicycle {n}" for n in range(30)], size="1K")
            assert [outcome.ok for outcome in batch] == [True] * 30
            assert [len(image.attempts) for image in batch] == [2] * 10 + [1] * 20
            refused = batch[0].attempts[0]
            assert (refused.status, refused.billing) == (401, "no")
            await assert_settled(gen, server, batch)
        assert server.bank.images == 30
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "…0002 from api_key[0] was refused" in said[0]
    assert "…0001" in said[0]
    assert REVOKED not in repr(gen) + said[0]
    assert "…0001 from api_key[1]" in repr(gen)


async def test_the_last_key_that_is_refused_ends_as_one_key_does() -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        async with Client(
            profile(server, "gemini"), [REVOKED, OTHER], limits=Limits(max_in_flight=1)
        ) as gen:
            batch = await gen.many([f"bicycle {n}" for n in range(9)], size="1K")
            assert isinstance(batch.stopped, AuthError)
            assert "…0003 is from api_key[1]" in str(batch.stopped)
            await assert_settled(gen, server, batch)
        assert server.stats().requests == 4  # the first key once, the last one three times
        assert server.bank.images == 0


@pytest.mark.parametrize("status", [402, 429, 503])
async def test_no_other_refusal_changes_the_key(status: int) -> None:
    """What is said of the account holds for each of its keys."""
    async with FakeServer(latency=60.0, keys=[KEY, OTHER]) as server:
        server.script(*[faults.status(status)] * 2)
        retry = Retry(max_throttle=1.0)
        async with Client(profile(server, "openai_images"), [KEY, OTHER], retry=retry) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            await assert_settled(gen, server, batch)
            assert "…0001 from api_key[0]" in repr(gen)
        assert server.bank.accounts[OTHER].spent == 0


async def test_what_may_have_been_billed_is_not_sent_with_another_key() -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        relay = profile(server, "openai_images")
        relay.billed[401] = "maybe"
        async with Client(relay, [REVOKED, KEY]) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            assert batch[0].billing == "maybe"
            await assert_settled(gen, server, batch)
        assert server.stats().requests == 1


async def test_a_task_is_polled_and_a_batch_job_made_with_the_key_that_is_left(
    tmp_path: Path,
) -> None:
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        async with Client(fake_profile(server.openai_url, "openai_images"), [REVOKED, KEY]) as gen:
            tasks = await gen.many(["a red bicycle", "a blue one"], size="1K", via="poll")
            assert [outcome.ok for outcome in tasks] == [True, True]
        async with Client(profile(server, "gemini"), [REVOKED, KEY]) as gen:
            lines = await gen.many(["a car", "a bus"], size="1K", via="batch", out=tmp_path)
            assert [outcome.ok for outcome in lines] == [True, True]
            await assert_settled(gen, server, [*tasks, *lines])
        assert server.bank.images == 4


async def test_the_first_key_stands_for_the_account_of_a_run(tmp_path: Path) -> None:
    """A run goes on after the key in use has changed, and with the first key alone."""
    async with FakeServer(latency=60.0, keys=[KEY]) as server:
        vendor = profile(server, "gemini")
        for keys in ([REVOKED, KEY], [REVOKED, KEY], REVOKED):
            async with Client(vendor, keys) as gen:
                batch = await gen.many(["a red bicycle"], size="1K", out=tmp_path)
                assert batch[0].ok
        assert server.bank.images == 1
        assert batch[0].spent_earlier == server.bank.billed


@pytest.mark.parametrize("keys", [[], [KEY, ""], [KEY, 7], [KEY, "two words"]])
def test_keys_that_cannot_be_sent_are_refused(keys: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        Client("https://relay.example/v1", keys)
    assert KEY not in str(refused.value)
