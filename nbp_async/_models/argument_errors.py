"""Likely mistakes in calls, each with what to write instead. Nothing was sent.

What is possible and seldom wise gets a warning.
"""

import warnings
from collections.abc import AsyncIterable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePath
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING

from nbp_async._base.errors import ConfigError
from nbp_async._base.suggestions import suggest
from nbp_async._models.outcomes import Prompt
from nbp_async._models.settings import Limits, Retry, Timeouts
from nbp_async._vendors.profiles import Profile

NOT_OPEN = (
    "Client.fake() is used in `async with`: its server starts there. In a notebook, write "
    "`await gen.__aenter__()` once. Nothing was sent."
)
CLOSED = (
    "This client is closed. Make its calls inside `async with`, or make a new client. "
    "Nothing was sent."
)
_EXAMPLES = {"prompts": '["a red bicycle"]', "prompt": '"a red bicycle"'}
_SHORT = 40  # characters of a text that a message repeats
_LISTS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".md", ".xlsx", ".parquet")
_SLOWEST = 170.0  # seconds that an image takes at most, as a rule


def refuse_unknown(
    call: str, given: Collection[str], known: Collection[str], of_client: Collection[str] = ()
) -> None:
    """Refuse options that `call` does not have; `of_client` are those of the client itself.

    Raises:
        TypeError: One is unknown: where it belongs, or which name is near it.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        where = _home_of(unknown[0], known, of_client)
        raise TypeError(f"{call}() has no option {unknown[0]!r}: {where}. Nothing was sent.")


def refuse_missing(call: str, missing: Sequence[str]) -> None:
    """Refuse a call without the arguments that it cannot do without.

    Raises:
        TypeError: What is missing, and what a call with it looks like.
    """
    if missing:
        example = _EXAMPLES.get(missing[0], f"{missing[0]}=...")
        raise TypeError(f"{call}() needs {missing[0]}: {call}({example}). Nothing was sent.")


def _home_of(name: str, known: Collection[str], of_client: Collection[str]) -> str:
    for kind in (Limits, Timeouts, Retry):
        if name in kind.__dataclass_fields__:
            word = kind.__name__
            return f"it is one of {word}: Client({word.lower()}={word}({name}=...))"
    if name in of_client:
        return f"it is one of the client: Client({name}=...)"
    if name in Prompt.__struct_fields__:
        return f'it is one of a prompt: Prompt("a red bicycle", {name}=...)'
    near = suggest(name, known)
    return f"{near}{'It' if near else 'it'} has {', '.join(sorted(known))}"


def check_prompts_argument(prompts: object) -> None:
    """Refuse an argument that is not a list of prompts for `many` or `stream`.

    Raises:
        ConfigError: What it is, and what to write instead.
    """
    words = ""
    if isinstance(prompts, PurePath) or _names_a_file(prompts):
        words = f"this is the name of a file. Write many(read_prompts({str(prompts)!r}))."
    elif isinstance(prompts, bytes):
        words = "got bytes, and a prompt is text. Write many([text])."
    elif isinstance(prompts, str):
        text = repr(prompts) if len(prompts) <= _SHORT else "text"
        words = (
            f"got one str, which would be {len(prompts)} prompts of one letter. "
            f"Write many([{text}]), or one({text}) for a single image."
        )
    elif isinstance(prompts, Prompt | Mapping):
        words = "got one prompt. Write many([prompt]), or one(prompt)."
    elif not isinstance(prompts, Iterable | AsyncIterable):
        words = f"got {type(prompts).__name__}, which is not iterable."
    elif _is_used_up(prompts):
        words = "the generator is already exhausted. Make a new one for each call, or give a list."
    if words:
        raise ConfigError(f"Prompts must be a list: {words}")


def _names_a_file(prompts: object) -> bool:
    if not isinstance(prompts, str):
        return False
    return prompts.lower().endswith(_LISTS) and not any(sign.isspace() for sign in prompts)


def _is_used_up(prompts: object) -> bool:
    """A generator without a frame has ended."""
    if isinstance(prompts, GeneratorType):
        return prompts.gi_frame is None
    return isinstance(prompts, AsyncGeneratorType) and prompts.ag_frame is None


def warn_about_settings(profile: Profile, timeouts: Timeouts) -> None:
    """Warn of settings that can cost money unnoticed; not of what stays on this machine."""
    if profile.is_local:
        return
    if profile.is_plain_http:
        warnings.warn(
            f"The key and the prompts go to {profile.host} unencrypted (http://): anybody on "
            "the way can read them and spend your money. Use https:// where the vendor has it.",
            UserWarning,
            stacklevel=5,
        )
    if timeouts.read is not None and timeouts.read < _SLOWEST and profile.held:
        warnings.warn(
            f"Timeouts(read={timeouts.read:g}) is less than the {_SLOWEST:.0f} s that an image "
            "may take: a request that is cut off may be billed, and is not sent again. "
            "Leave it at None (300 s, 600 s for 4K), or give more.",
            UserWarning,
            stacklevel=5,
        )


_ASYNC_FOR = (
    "async for outcome in gen.stream(...). All of them together: batch = await gen.many(...). "
    "Nothing was sent."
)
_AWAIT = "no image has been made yet. Write batch = await gen.many(...). Nothing was sent."


class NotAwaited:
    """A plan is not a batch yet: to use it as one is an error that says to await it."""

    _of_a_batch: frozenset[str] = frozenset()
    """Names of what a batch has."""

    if not TYPE_CHECKING:  # type checkers know by themselves that a plan has none of this

        def __iter__(self):
            raise TypeError(f"This is a plan: {_AWAIT}")

        def __getitem__(self, place):
            raise TypeError(f"This is a plan: {_AWAIT}")

        def __len__(self):
            raise TypeError(f"This is a plan: {_AWAIT}")

        def __bool__(self):
            return True  # else Python would ask for the length

        def __aiter__(self):
            raise TypeError(
                "`async for` goes through gen.stream(...), which gives outcomes as they end; "
                f"this is a plan, which gives them all together: {_AWAIT}"
            )

        def __getattr__(self, name):
            words = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name in self._of_a_batch:
                words = f"A plan has no {name!r}: {_AWAIT}"
            raise AttributeError(words, name=name, obj=self)


class OnlyAsyncFor:
    """Says what to write where somebody uses a stream as a list, or awaits it."""

    if not TYPE_CHECKING:  # type checkers know by themselves that it has none of this

        def __iter__(self):
            raise TypeError(f"A stream is read with `async for`: {_ASYNC_FOR}")

        def __await__(self):
            raise TypeError(f"A stream is not awaited: {_ASYNC_FOR}")


class OnlyAsync:
    """Says what to write where somebody uses `with`."""

    if not TYPE_CHECKING:  # type checkers know by themselves that it has none of this

        def __enter__(self):
            raise TypeError(
                "Write `async with`, in an async function; code without async uses SyncClient. "
                "Nothing was sent."
            )

        def __exit__(self, *_):
            """Never reached; without it Python words the error of `with` itself."""
