"""One endpoint and the account that pays for it: what a client is for, and may have several of."""

import hashlib
from dataclasses import dataclass

from nbp_async._base.errors import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._client.batch_vendors import has_batches, refuse_signature_scheme
from nbp_async._client.callbacks import why_no_callback
from nbp_async._client.options import CallOptions, ImageOptions
from nbp_async._models.outcomes import Via
from nbp_async._vendors.profiles import Profile
from nbp_async._webhooks.webhook import Webhook


@dataclass(frozen=True, slots=True)
class EndpointAccount:
    """An endpoint, a key, and the name of the account that the key belongs to, or None."""

    profile: Profile
    key: Secret
    name: str | None = None

    @property
    def owner(self) -> str:
        """Who pays, as part of a job's identity: the account's name, or what stands for the key."""
        if self.name is not None:
            return f"{self.profile.name}:{self.name}"
        print_of_key = hashlib.sha256(b"nbp_async account\0" + self.key.reveal_first().encode())
        return f"{self.profile.name}:{print_of_key.hexdigest()[:16]}"


def choose_via(options: ImageOptions, profile: Profile, webhook: Webhook | None) -> Via:
    """How the answers of a call reach us: as it was asked, else as the endpoint can.

    Raises:
        ConfigError: This endpoint, or this call, cannot do it so. Nothing was sent.
    """
    via: Via = options.via or ("held" if profile.held else "poll")
    problem = _why_not(via, options, profile, webhook)
    if problem:
        raise ConfigError(problem, option="via", value=via)
    return via


def _why_not(via: Via, options: ImageOptions, profile: Profile, webhook: Webhook | None) -> str:
    if via == "held":
        held = f'{profile.name} does not hold calls open: it takes tasks, with via="poll".'
        return "" if profile.held else held
    if via == "batch":
        return _why_no_batch(options, profile) or refuse_signature_scheme(profile, webhook)
    if profile.tasks is None:
        return (
            f"{profile.name} is not known to take tasks. If it does, describe it: "
            "Profile(tasks=TaskTable(...)), or a TOML file (nbp help service-files)."
        )
    return why_no_callback(profile, webhook) if via == "webhook" else ""


def _why_no_batch(options: ImageOptions, profile: Profile) -> str:
    if not isinstance(options, CallOptions):
        return "a batch job makes many images: gen.many([prompt], ...)."
    if not has_batches(profile):
        return f"{profile.name} is not known to have a batch API. If it has: Profile(batches=True)."
    if not options.has_journal:
        return 'a batch takes hours, so it needs a run that can be resumed: give out="folder".'
    return ""
