"""Which vendors' batch APIs are supported, and the options of a call that uses them."""

from collections.abc import Callable

from nbp_async._batch_api.batch_dialect import BatchDialect
from nbp_async._batch_api.batch_job import BatchOptions
from nbp_async._batch_api.gemini_batch import GeminiBatch
from nbp_async._batch_api.openai_batch import OpenAIBatch
from nbp_async._client.callbacks import Callbacks
from nbp_async._client.options import CallOptions
from nbp_async._flow.delivery import RequestDelivery
from nbp_async._vendors.prices import Prices
from nbp_async._vendors.profiles import DialectName, Profile
from nbp_async._webhooks.webhook import Webhook

BATCHES: dict[DialectName, Callable[[], BatchDialect]] = {
    "gemini": GeminiBatch,
    "openai_images": OpenAIBatch,
}


def has_batches(profile: Profile) -> bool:
    """It has a batch API that we speak, and prices of its own do not leave that out."""
    own = profile.prices
    priced = not (isinstance(own, Prices) and "batch" not in own.tiers)
    return profile.dialect in BATCHES and profile.batches and priced


def batch_options(
    options: CallOptions, profile: Profile, held: RequestDelivery, callbacks: Callbacks | None
) -> BatchOptions:
    """How a call with these options goes by the batch API of this vendor."""
    asked_for = callbacks is not None and callbacks.scheme == "google"
    return BatchOptions(
        dialect=BATCHES[profile.dialect](),
        held=held,
        wait=options.wait,
        failed_lines=options.failed_lines,
        hints=None if callbacks is None else callbacks.hints,
        callback=(lambda: callbacks.url) if callbacks is not None and asked_for else str,
    )


def refuse_signature_scheme(profile: Profile, webhook: Webhook | None) -> str:
    """Why batch jobs of this vendor cannot call back there, or ""."""
    signs = BATCHES[profile.dialect]().signature_schemes
    if webhook is None or webhook.scheme in signs:
        return ""
    schemes = " or ".join(f'"{scheme}"' for scheme in signs)
    return f"batch jobs of {profile.name} use another signature scheme: Webhook(scheme={schemes})."
