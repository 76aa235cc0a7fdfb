"""What answers are asked to be: by the call, the client, the delivery and the endpoint."""

from typing import Any, Literal

import pytest

from nbp_async import Client, ConfigError, Profile, Prompt, TaskTable
from nbp_async._vendors.profiles import PROFILES
from nbp_async.fake import FakeServer
from tests.loopback.oracle import assert_settled

pytestmark = pytest.mark.looptime

Format = Literal["url", "b64_json"]
TABLE = TaskTable(
    submit="/images",
    look="/images/{id}",
    id=("id",),
    links=("url",),
    body={"prompt": "{prompt}", "size": "{size}"},
)


@pytest.mark.parametrize(
    ("profile", "client", "call", "via", "linked"),
    [
        ("b64_json", None, None, "held", False),
        ("url", None, None, "held", True),
        ("b64_json", "url", None, "held", True),
        ("url", "b64_json", None, "held", False),
        ("b64_json", "b64_json", "url", "held", True),
        ("url", "url", "b64_json", "held", False),
        ("b64_json", None, None, "poll", True),
        ("b64_json", "b64_json", None, "poll", False),
        ("b64_json", None, "b64_json", "poll", False),
    ],
)
async def test_the_nearest_choice_counts_and_tasks_ask_for_links(
    profile: Format, client: Format | None, call: Format | None, via: Any, linked: bool
) -> None:
    async with FakeServer(latency=5.0) as server:
        tasks = PROFILES["apiyi"].tasks
        relay = Profile(
            name="vendor", base_url=server.openai_url, response_format=profile, tasks=tasks
        )
        async with Client(relay, server.key, response_format=client) as gen:
            image = await gen.one("a", size="1K", response_format=call, via=via)
            await assert_settled(gen, server, [image])
        assert server.stats().downloads == linked
        assert bool(image.url) == linked


async def test_the_relay_of_the_article_answers_with_links() -> None:
    assert PROFILES["apiyi"].response_format == "url"
    assert PROFILES["apiyi-http"].response_format == "url"
    assert Profile(name="relay", base_url="https://relay.example/v1").response_format == "b64_json"


@pytest.mark.parametrize(
    ("endpoint", "via"),
    [
        ("google", "held"),
        ("openrouter", "held"),
        ("openai", "held"),
        (Profile(name="acme", base_url="https://acme.example/v1", tasks=TABLE), "poll"),
    ],
)
async def test_a_choice_that_has_no_place_is_refused_before_anything_is_sent(
    endpoint: str | Profile, via: Any
) -> None:
    async with Client(endpoint, "sk-123456789012") as gen:
        with pytest.raises(ConfigError, match=r"response_format='url': this way of asking"):
            await gen.many(["a"], response_format="url", via=via)


@pytest.mark.parametrize("name", ["response_format", "responseFormat"])
async def test_the_same_in_extra_is_refused_with_the_option(name: str) -> None:
    prompt = Prompt("a", extra={name: "url"})
    async with Client("https://relay.example/v1", "sk-123456789012") as gen:
        with pytest.raises(ConfigError, match=r"use the option 'response_format'"):
            await gen.many([prompt])
