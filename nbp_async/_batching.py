"""Which vendors' batch APIs are spoken here, and how a call goes by them."""

from collections.abc import Callable
from dataclasses import replace

from nbp_async._dialects.batches import BatchDialect
from nbp_async._dialects.gemini_batch import GeminiBatch
from nbp_async._dialects.openai_batch import OpenAIBatch
from nbp_async._flow.run import Batching
from nbp_async._options import Ask, RunAsk
from nbp_async._profiles import DialectName, Profile

BATCHES: dict[DialectName, Callable[[], BatchDialect]] = {
    "gemini": GeminiBatch,
    "openai_images": OpenAIBatch,
}


def has_batches(profile: Profile) -> bool:
    """It has a batch API, and the price of it is known."""
    return profile.batches and profile.prices.batch is not None


def priced_for(profile: Profile, ask: Ask) -> Profile:
    """The profile with the prices that count for a call."""
    if ask.get("via") != "batch":
        return profile
    return replace(profile, prices=profile.prices.in_batch())


def batching_of(ask: RunAsk, profile: Profile) -> Batching:
    """How a call with these options goes by the batch API of this vendor."""
    return Batching(
        dialect=BATCHES[profile.dialect](),
        wait=ask.get("wait", True),
        failed=ask.get("failed_lines", "batch"),
    )
