"""The keywords of a call are the fields of its options, for the interpreter and for type checkers.

The lines with `type: ignore` are the test of the types: where one is no error any more, mypy says
that its comment is unused.
"""

import dataclasses
import inspect
from typing import Any

import pytest

from nbp_async import (
    BatchRun,
    CallOptions,
    Client,
    ClientOptions,
    ConfigError,
    FetchOptions,
    ImageOptions,
    Limits,
    RecoverOptions,
    Retry,
    Timeouts,
    fetch_run,
    option_fields,
    recover_run,
    run_many,
)

KEY = "sk-test-0123456789abcdef"
CALLS: list[tuple[Any, type[Any]]] = [
    (Client, ClientOptions),
    (Client.from_env, ClientOptions),
    (Client.many, CallOptions),
    (Client.start, CallOptions),
    (Client.stream, CallOptions),
    (Client.one, ImageOptions),
    (BatchRun, ClientOptions),
    (fetch_run, FetchOptions),
    (recover_run, RecoverOptions),
    (run_many, CallOptions),
]


@pytest.mark.parametrize(("call", "kind"), CALLS)
def test_signature_and_help_have_every_option(call: Any, kind: type[Any]) -> None:
    parameters = inspect.signature(call).parameters
    for field in dataclasses.fields(kind):
        assert parameters[field.name].default == field.default
    text = inspect.getdoc(call.__init__ if inspect.isclass(call) else call) or ""
    assert all(f"    {field.name}: " in text for field in dataclasses.fields(kind))


@pytest.mark.parametrize(
    "kind", [ClientOptions, CallOptions, ImageOptions, FetchOptions, Limits, Timeouts, Retry]
)
def test_every_option_is_documented_at_its_class(kind: type[Any]) -> None:
    fields = option_fields(kind)
    assert list(fields) == [field.name for field in dataclasses.fields(kind)]
    assert not [name for name, field in fields.items() if len(field.summary) < 10]


def test_a_command_line_can_be_built_from_the_fields() -> None:
    fields = option_fields(CallOptions)
    assert fields["via"].choices == ("held", "poll", "webhook", "batch")
    assert fields["wait"].is_flag
    assert fields["wait"].via == ("batch",)
    assert option_fields(Limits)["max_in_flight"].least == 1
    assert option_fields(Limits)["rate"].example == '"60/min", "2/s" or "1000/hour"'
    assert option_fields(Timeouts)["connect"].unit == "seconds"


async def test_a_call_refuses_what_its_options_do_not_have() -> None:
    gen = Client("google", KEY)
    with pytest.raises(TypeError, match="did you mean 'size'"):
        gen.many(["a cat"], sise="4K")  # type: ignore[call-arg]  # misspelt
    with pytest.raises(ConfigError, match="size=4"):
        gen.many(["a cat"], size=4)  # type: ignore[arg-type]  # not text
    with pytest.raises(TypeError, match="no option 'journal'"):
        await gen.one("a cat", journal=False)  # type: ignore[call-arg]  # of many alone
    with pytest.raises(TypeError, match="it is one of Limits"):
        Client("google", KEY, rate="60/min")  # type: ignore[call-arg]  # one of Limits
    with pytest.raises(ConfigError, match="transport"):
        Client("google", KEY, transport="requests")  # type: ignore[arg-type]  # not known
    with pytest.raises(TypeError, match="prompts"):
        gen.many()  # type: ignore[call-arg]  # without prompts
    with pytest.raises(TypeError, match="positional"):
        gen.many(["a cat"], "4K")  # type: ignore[call-arg]  # options have names


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"via": "pol"}, "via='pol'"),
        ({"verify": 1}, "True or False"),
        ({"wait": False}, "only for batch jobs"),
        ({"failed_lines": "keep"}, "only for batch jobs"),
        ({"failed_lines": "drop", "via": "batch"}, '"batch", "held" or "keep"'),
        ({"journal": True}, "no folder for the journal"),
        ({"retry_failed": True}, "this call has none"),
        ({"resend_ambiguous": True, "out": "folder"}, "may pay twice"),
        ({"max_cost": "much"}, "max_cost='much'"),
        ({"out": 17}, "a folder, a store"),
    ],
)
def test_options_are_checked_where_they_are_made(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CallOptions(**given)


def test_a_key_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Client.from_env({"NBP_API_KEY": KEY})  # type: ignore[arg-type]  # environ= has a name
    assert KEY not in str(caught.value)


def test_options_show_what_was_set_and_no_secret() -> None:
    call = CallOptions(
        out="shop", max_cost=3, journal="postgresql://me:canary@db/shop?run=a&password=canary"
    )
    assert repr(call) == (
        "CallOptions(out='shop', max_cost=Decimal('3'), "
        "journal='postgresql://me:...@db/shop?run=a&password=...')"
    )
    client = ClientOptions(
        api_key="canary", proxy="http://me:canary@proxy:3128", headers={"X-Team": "canary"}
    )
    assert "canary" not in repr(client)
    assert repr(ClientOptions()) == "ClientOptions()"
