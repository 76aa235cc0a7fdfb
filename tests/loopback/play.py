"""Shared by the tests of faults: one prompt against a server with scripted faults."""

import asyncio
from pathlib import Path
from typing import Any

from nbp_async._client.client import Client
from nbp_async._models.outcomes import Outcome
from nbp_async._vendors.profiles import DialectName, Profile
from nbp_async.fake import FakeServer
from nbp_async.fake.faults import Fault
from tests.loopback.oracle import assert_settled

KEY = "sk-canary-key-that-must-never-be-seen-0001"


def now() -> float:
    return asyncio.get_running_loop().time()


def profile(server: FakeServer, dialect: DialectName) -> Profile:
    gemini = dialect == "gemini"
    return Profile(
        name="vendor",
        base_url=server.gemini_url if gemini else server.openai_url,
        dialect=dialect,
        model="gemini-3-pro-image" if gemini else "nano-banana-pro",
        batches=True,
    )


async def play(
    fault: Fault | list[Fault],
    *,
    dialect: DialectName = "openai_images",
    out: Path | None = None,
    server: dict[str, Any] | None = None,
    size: str = "1K",
    **options: Any,
) -> tuple[Outcome, FakeServer]:
    """One prompt against a server that plays these faults in turn; then the bank is compared."""
    script = fault if isinstance(fault, list) else [fault]
    # A PNG that is cut is no image; a JPEG that is cut is still one to look at.
    settings: dict[str, Any] = {"latency": 60.0, "keys": [KEY], "kind": "png", **(server or {})}
    async with FakeServer(**settings) as vendor:
        vendor.script(*script)
        options.setdefault("rng", lambda: 0.5)
        async with Client(profile(vendor, dialect), KEY, **options) as gen:
            batch = await gen.many(["a red bicycle"], size=size, out=out)
            await assert_settled(gen, vendor, batch, out=out)
        return batch[0], vendor
