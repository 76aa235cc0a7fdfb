"""What the answers of a call are asked to be: base64, links, or what the endpoint sends anyway."""

from collections.abc import Mapping
from typing import Any

from nbp_async._base.errors import ConfigError
from nbp_async._client.options import ImageOptions
from nbp_async._dialects.body_template import has_place
from nbp_async._models.outcomes import Via
from nbp_async._vendors.profiles import Profile
from nbp_async._vendors.services import ResponseFormat

_BY_TASK: tuple[Via, ...] = ("poll", "webhook")


def answer_format(options: ImageOptions, profile: Profile, via: Via) -> ResponseFormat | None:
    """What to ask for in place of what the profile says; None for that.

    A task's answer is polled, or comes as a webhook that must be small: links, where they can be
    had.

    Raises:
        ConfigError: The requests have no place for what was chosen, or the choices contradict each
            other. Nothing was sent.
    """
    wanted = options.response_format
    if not _has_choice(profile, via):
        if wanted is None:
            return None
        raise ConfigError(
            f"this way of asking {profile.name} has no place for it.",
            option="response_format",
            value=wanted,
        )
    if wanted == "b64_json" and options.links == "keep":
        raise ConfigError(
            'answers in base64 have no links that links="keep" could keep.',
            option="response_format",
            value=wanted,
        )
    if wanted is None and (options.links == "keep" or via in _BY_TASK):
        return "url"
    return wanted


def are_links_kept(options: ImageOptions, profile: Profile, via: Via) -> bool:
    """The results are links: nothing is downloaded, and no room is needed for it."""
    return options.links == "keep" and (via in _BY_TASK or _has_choice(profile, via))


def task_body(profile: Profile, via: Via) -> Mapping[str, Any]:
    """The template of a request whose image comes as a task; empty for all other requests."""
    return profile.tasks.body if via in _BY_TASK and profile.tasks is not None else {}


def _has_choice(profile: Profile, via: Via) -> bool:
    body = task_body(profile, via)
    if body:
        return has_place(body, "{response_format}")
    return profile.dialect == "openai_images" and profile.response_format is not None
