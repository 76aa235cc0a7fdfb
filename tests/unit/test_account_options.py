"""What a client of several accounts is made of, and what is refused before anything is sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbp_async import Account, Client, ClientOptions, ConfigError, Limits

PROMPTS = ["a red bicycle", "a blue one"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Client([]), "give a list of them"),
        (lambda: Client("google", "k-0123456789ab", route="cheapest"), "give a list of them"),
        (lambda: Client([Account("google", "k1"), Account("google", "k2")]), "called so"),
        (lambda: Client([Account("google", "k1")], "k2"), "each account has its own"),
        (lambda: Client([Account("google", "k1")], price="1"), "each account has its own"),
        (lambda: Client([Account("google", "k1")], headers={"X-A": "b"}), "each account has its"),
        (lambda: Client([Account("google")]), "No API key for google"),
        (lambda: Client([Account("google", "k1"), Account("openai", "k2")]), "different models"),
        (lambda: Client([Account("fal", "k1")]), "does not hold calls open"),
        (lambda: Account("google", "k1", limits=Limits(max_body=2048)), "share it"),
    ],
)
def test_accounts_that_cannot_work_together_are_refused(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize("via", ["poll", "batch"])
async def test_only_held_calls_go_to_several_accounts(via: Any, tmp_path: Path) -> None:
    async with Client([Account("google", "k1"), Account("apiyi", "k2")]) as gen:
        with pytest.raises(ConfigError, match="held calls alone"):
            await gen.many(PROMPTS, via=via, out=tmp_path)


def test_the_environment_has_the_keys_of_accounts_that_were_given_none() -> None:
    environ = {"GEMINI_API_KEY": "AQ.google-0001", "APIYI_API_KEY": "sk-apiyi-0002"}
    gen = Client.from_env([Account("google"), Account("apiyi")], environ=environ, route="fastest")
    assert repr(gen) == "Client(google + apiyi, 100 in flight)"
    with pytest.raises(ConfigError, match="No API key for openai"):
        Client.from_env([Account("google"), Account("openai")], environ=environ, model="x")


def test_no_key_shows_itself_in_options_or_messages() -> None:
    keys = ["sk-0123456789ab", "sk-ba9876543210"]
    shown = repr(Account("apiyi", keys)) + repr(ClientOptions("apiyi", keys))
    shown += repr(ClientOptions([Account("apiyi", keys)]))
    with pytest.raises(ConfigError) as refused:
        Account("apiyi", [*keys, 7])  # type: ignore[list-item]
    assert not any(key in shown + str(refused.value) for key in keys)
