"""The message of each failure, in `failure_messages.txt`: what happened, billing, what to do.

`NBP_WRITE_MESSAGES=1 pytest tests/loopback/test_failure_messages.py` rewrites it: read the diff.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nbp_async import Client, Failure, Outcome, Retry, Timeouts
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.faults import Fault
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, play, profile

SNAPSHOT = Path(__file__).with_name("failure_messages.txt")
FAULTS: dict[str, Fault] = {
    "the key is unknown": faults.status(401),
    "the balance is used up": faults.status(402),
    "the key has no right to it": faults.status(403),
    "no such model": faults.status(404),
    "the request is too large": faults.status(413),
    "the request is wrong": faults.status(400),
    "too many requests": faults.rate_limited(20),
    "overloaded": faults.overloaded(5),
    "the server failed": faults.status(500),
    "the gateway gave up": faults.status(504),
    "refused for its content": faults.blocked(),
    "no image in the answer": faults.no_image("NO_IMAGE", "I would rather write a poem."),
    "no connection came about": faults.disconnect(before=True),
    "the connection ended": faults.disconnect(),
    "the connection was reset": faults.reset(),
    "no answer ever": faults.hang(),
    "what came is no HTTP": faults.raw(b"nonsense\r\n\r\n"),
    "the answer was cut off": faults.cut_body(),
    "the answer came too slowly": faults.slow_body(100),
    "a web page": faults.html_page(),
    "no JSON": faults.bad_json("garbage"),
    "base64 that is none": faults.bad_base64(),
    "an image that is none": faults.bad_image(),
}


async def lost_link(status: int) -> tuple[Outcome, FakeServer]:
    """An image that was paid for, and whose link answers so for ever."""
    async with FakeServer(latency=1.0, keys=[KEY]) as vendor:
        vendor.script(*[faults.download(faults.status(status))] * 50)
        linked = replace(profile(vendor, "openai_images"), response_format="url")
        async with Client(linked, KEY, timeouts=Timeouts(download=60), rng=lambda: 0.5) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            await assert_settled(gen, vendor, batch)
        return batch[0], vendor


def line_of(name: str, outcome: Outcome, vendor: FakeServer) -> str:
    assert isinstance(outcome, Failure), name
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", str(outcome.error))
    text = re.sub(r"kept in \S+\.reply", "kept in FILE", text)
    assert KEY not in text
    assert "\n" not in text
    assert len(text) < 400
    assert text.endswith("."), text
    assert (vendor.bank.billed > 0) <= (outcome.billing != "no")
    return f"# {name}\n{type(outcome.error).__name__}, billed: {outcome.billing}\n{text}\n"


@pytest.mark.looptime
async def test_every_failure_says_what_happened_the_billing_and_what_to_do() -> None:
    found = [
        line_of(name, *await play(fault, retry=Retry.none())) for name, fault in FAULTS.items()
    ]
    found.append(line_of("a link that has ended", *await lost_link(410)))
    found.append(line_of("a link that cannot be fetched", *await lost_link(500)))
    whole = "\n".join(found)
    if os.environ.get("NBP_WRITE_MESSAGES"):
        SNAPSHOT.write_text(whole)
    assert whole == SNAPSHOT.read_text()
