"""Which vendors' batch APIs are spoken here, and how a call goes by them."""

from collections.abc import Callable
from dataclasses import replace

from nbp_async._callbacks import Callbacks
from nbp_async._dialects.batches import BatchDialect
from nbp_async._dialects.gemini_batch import GeminiBatch
from nbp_async._dialects.openai_batch import OpenAIBatch
from nbp_async._flow.run import Batching
from nbp_async._options import Ask, RunAsk
from nbp_async._profiles import DialectName, Profile
from nbp_async._webhooks.settings import Webhook

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


def batching_of(ask: RunAsk, profile: Profile, callbacks: Callbacks | None) -> Batching:
    """How a call with these options goes by the batch API of this vendor."""
    asked_for = callbacks is not None and callbacks.scheme == "google"
    return Batching(
        dialect=BATCHES[profile.dialect](),
        wait=ask.get("wait", True),
        failed=ask.get("failed_lines", "batch"),
        hints=None if callbacks is None else callbacks.hints,
        callback=(lambda: callbacks.url) if callbacks is not None and asked_for else str,
    )


def unsigned(profile: Profile, webhook: Webhook | None) -> str:
    """Why batch jobs of this vendor cannot call back there, or ""."""
    signs = BATCHES[profile.dialect]().signs
    if webhook is None or webhook.scheme in signs:
        return ""
    ways = " or ".join(f'"{scheme}"' for scheme in signs)
    return f"batch jobs of {profile.name} sign otherwise: Webhook(scheme={ways}, ...)."
