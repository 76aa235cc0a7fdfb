"""What the Tab key offers for a value: endpoints, models, sizes and so on."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from nbp_async import PROFILES, Model, models

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def offer(values: Callable[[tuple[Model, ...]], Iterable[str]]) -> Complete:
    """Offers these values of the models that may be meant: the one of `--model`, or all."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        named = ctx.params.get("model")
        meant = tuple(m for m in models() if named in (m.name, *m.aliases)) or models()
        return [
            CompletionItem(value)
            for value in dict.fromkeys(values(meant))
            if value.startswith(incomplete)
        ]

    return complete


def complete_endpoint(
    _: click.Context, __: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names, and the shell's own files: a service may be described by one."""
    known = [CompletionItem(name) for name in PROFILES if name.startswith(incomplete)]
    return known or [CompletionItem(incomplete, type="file")]


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own files."""
    return [CompletionItem(incomplete, type="file")]


complete_model = offer(lambda _: (name for m in models() for name in (m.name, *m.aliases)))
complete_size = offer(lambda known: (size for m in known for size in m.sizes))
complete_ratio = offer(lambda known: (ratio for m in known for ratio in m.ratios))
complete_quality = offer(lambda known: (quality for m in known for quality in m.qualities))
complete_thinking = offer(lambda known: (level for m in known for level in m.thinking))
