"""Calls that cannot have been meant so, each with what to write instead. Nothing was sent.

What can be meant, and is seldom wise, is warned of.
"""

import warnings
from collections.abc import AsyncIterable, Collection, Iterable, Mapping
from pathlib import PurePath
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, get_args

from nbp_async._config import Limits, Retry, Timeouts
from nbp_async._errors import ConfigError
from nbp_async._keys import is_loopback
from nbp_async._models import FailedLines, Prompt
from nbp_async._near import meant
from nbp_async._profiles import Profile

NOT_OPEN = (
    "Client.fake() is used in `async with`: its server starts there. In a notebook, write "
    "`await gen.__aenter__()` once. Nothing was sent."
)
_SHORT = 40  # characters of a text that a message repeats
_LISTS = (".txt", ".csv", ".jsonl")
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


def _home_of(name: str, known: Collection[str], of_client: Collection[str]) -> str:
    for kind in (Limits, Timeouts, Retry):
        if name in kind.__dataclass_fields__:
            word = kind.__name__
            return f"it is one of {word}: Client({word.lower()}={word}({name}=...))"
    if name in of_client:
        return f"it is one of the client: Client({name}=...)"
    if name in Prompt.__struct_fields__:
        return f'it is one of a prompt: Prompt("a red bicycle", {name}=...)'
    near = meant(name, known)
    return f"{near}{'It' if near else 'it'} has {', '.join(sorted(known))}"


def refuse_unfit(prompts: object) -> None:
    """Refuse what are no prompts for `many` or `stream`.

    Raises:
        ConfigError: What it is, and what to write instead.
    """
    words = ""
    if isinstance(prompts, PurePath) or _names_a_file(prompts):
        words = f"names a file. Read it first: {_read_by(str(prompts))}."
    elif isinstance(prompts, bytes):
        words = "is of type bytes: a prompt is text. Write many([text])."
    elif isinstance(prompts, str):
        text = repr(prompts) if len(prompts) <= _SHORT else "text"
        words = (
            f"is one str: it would be taken for {len(prompts)} prompts of "
            f"one letter. Write many([{text}]), or one({text}) for a single image."
        )
    elif isinstance(prompts, Prompt | Mapping):
        words = "is one prompt. Write many([prompt]), or one(prompt)."
    elif not isinstance(prompts, Iterable | AsyncIterable):
        words = f"is of type {type(prompts).__name__}, which cannot be gone through."
    elif _is_used_up(prompts):
        words = (
            "is a generator that was gone through already: it has none left. Make a new one for "
            "each call, or give a list."
        )
    if words:
        raise ConfigError(f"Prompts come as a list, and this {words} Nothing was sent.")


def refuse_batch_options(ask: Mapping[str, Any]) -> None:
    """Only a batch job can be left alone, and only it has lines.

    Raises:
        ConfigError: Something else is not to be waited for, or to have them; or there is no such
            choice.
    """
    chosen, wait = ask.get("failed_lines", "batch"), ask.get("wait", True)
    if chosen not in get_args(FailedLines):
        raise ConfigError(f'failed_lines={chosen!r}: "batch", "held" or "keep". Nothing was sent.')
    if ask.get("via") == "batch":
        return
    if not wait:
        raise ConfigError('wait=False is for via="batch" alone. Nothing was sent.')
    if "failed_lines" in ask and chosen != "batch":
        raise ConfigError(f'failed_lines="{chosen}" is for via="batch" alone. Nothing was sent.')


def _names_a_file(prompts: object) -> bool:
    if not isinstance(prompts, str):
        return False
    return prompts.lower().endswith(_LISTS) and not any(sign.isspace() for sign in prompts)


def _read_by(file: str) -> str:
    """How a list of prompts comes out of such a file."""
    name = repr(file)
    if file.lower().endswith(".csv"):
        return f"[row['prompt'] for row in csv.DictReader(open({name}))]"
    if file.lower().endswith(".jsonl"):
        return f"[json.loads(line) for line in open({name})]"
    return f"[line for line in Path({name}).read_text().splitlines() if line.strip()]"


def _is_used_up(prompts: object) -> bool:
    """A generator without a frame has ended."""
    if isinstance(prompts, GeneratorType):
        return prompts.gi_frame is None
    return isinstance(prompts, AsyncGeneratorType) and prompts.ag_frame is None


def warn_of(profile: Profile, timeouts: Timeouts) -> None:
    """Warn of what can cost money unheard; not of what stays on this machine."""
    if is_loopback(profile.host):
        return
    if profile.base_url.startswith("http://"):
        warnings.warn(
            f"The key and the prompts go to {profile.host} unencrypted (http://): whoever is on "
            "the way can read them and spend your money. Use https:// where the vendor has it.",
            UserWarning,
            stacklevel=5,
        )
    if timeouts.read is not None and timeouts.read < _SLOWEST and profile.held:
        warnings.warn(
            f"Timeouts(read={timeouts.read:g}) is less than the {_SLOWEST:.0f} s that an image "
            "may take: what is cut off then may be billed all the same, and is not sent again. "
            "Leave it at None (300 s, 600 s for 4K), or give more.",
            UserWarning,
            stacklevel=5,
        )


_AWAIT = "no image was made yet. Write batch = await gen.many(...). Nothing was sent."


class Unawaited:
    """A plan is no batch yet: who takes it for one is told to await it."""

    _of_a_batch: frozenset[str] = frozenset()
    """Names of what a batch has."""

    if not TYPE_CHECKING:  # type checkers know by themselves that a plan has none of this

        def __iter__(self):
            raise TypeError(f"This is a plan: {_AWAIT}")

        def __getitem__(self, place):
            raise TypeError(f"This is a plan: {_AWAIT}")

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


class Guided:
    """Who calls the client in a way that it has not is told which way it has."""

    if not TYPE_CHECKING:  # type checkers know the signature

        def __new__(cls, *_args, **options):
            refuse_unknown(cls.__name__, options, cls.__init__.__annotations__.keys() - {"return"})
            return super().__new__(cls)

        def __enter__(self):
            raise TypeError(
                "Write `async with`, in an async function; a plain script uses run_many(). "
                "Nothing was sent."
            )

        def __exit__(self, *_):
            """Never reached; without it Python has words of its own for `with`."""
