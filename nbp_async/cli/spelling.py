"""The library's messages in words of the command line: `max_cost="45"` is `--max-cost 45` there."""

import re

_OPTIONS = frozenset({
    "account", "aspect_ratio", "burst", "endpoint", "journal", "max_cost", "max_in_flight", "model",
    "out", "public_url", "rate", "resend_ambiguous", "retry_failed", "seed", "size", "spend",
    "verify", "via", "wait",
})  # fmt: skip
_GIVEN = re.compile(r"""(?<![\w("'?&])([a-z_]+)=("[^"]*"|'[^']*'|[\w.$/]*)""")
_NAMED = re.compile(
    r"(?<![\w\-=.])(resend_ambiguous|retry_failed|max_cost|max_in_flight)\b(?![=(])"
)
_PLACE = re.compile(r"\bprompts\[(\d+)\]")


def as_typed(text: str) -> str:
    """A message of the library for people who type options; prompts are counted from 1.

    What is said of one prompt of a list is said of what stands in the list.
    """
    if _PLACE.search(text):
        text = _PLACE.sub(lambda found: f"prompt {int(found[1]) + 1}", text)
        return text.replace("given as a dict", "given as an object")
    text = _GIVEN.sub(_option, text)
    return _NAMED.sub(lambda found: _dashed(found[1]), text)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    if name not in _OPTIONS:
        return found[0]
    bare = value.strip("\"'")
    if bare in ("", "...", "True"):
        return _dashed(name)
    if name == "wait":
        return "--no-wait"
    return f"{_dashed(name)} {value if ' ' in bare else bare}"


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"
