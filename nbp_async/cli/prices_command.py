"""`nbp prices`: the models that we know, and the prices that bills are computed with."""

from collections.abc import Iterator
from decimal import Decimal

import click
from rich import box
from rich.console import Console
from rich.table import Table

from nbp_async import Model, Prices, models
from nbp_async.cli.output import print_line

_TIERS = ("flex", "batch", "priority")


@click.command()
def prices() -> None:
    """Show what an image costs, in US dollars, with the date and source of each figure."""
    console = Console(highlight=False)
    for model in models():
        for line in _about(model):
            print_line(console, line)
        for vendor, listed in model.prices.items():
            print_line(console, f"  {vendor}: {listed.source}, as of {listed.dated}")
            console.print(_table(listed))
            if listed.by_tokens:
                print_line(console, f"    per million tokens: {_tokens(listed)}")
        console.print()
    print_line(
        console,
        'flex and priority are service tiers (--tier), batch is the batch API (--via batch), "any" '
        "is any other size. Where tokens are priced they decide what is billed. An endpoint that "
        "is not listed has its models' prices at their makers. A price of your own: --price 0.09, "
        "or Profile(..., prices=Prices(...)).",
    )


def _about(model: Model) -> Iterator[str]:
    yield model.name
    if model.aliases:
        yield f"  also {', '.join(model.aliases)}"
    yield f"  draws {', '.join(model.sizes)}; {model.max_references} references at most"
    yield f"  ratios {', '.join(model.ratios)}{', or pixels' if model.any_pixels else ''}"
    for option, choices in (("quality", model.qualities), ("thinking", tuple(model.thinking))):
        if choices:
            yield f"  {option} {', '.join(choices)}"
    if model.ends is not None:
        yield f"  ends {model.ends}"
    if model.unsettled:
        yield f"  unsettled: {model.unsettled}"


def _table(listed: Prices) -> Table:
    """A row for each size; a column for each tier that is sold."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    sold = [tier for tier in _TIERS if tier in listed.tiers]
    table.add_column("    size", no_wrap=True)
    for title in ("price", *sold):
        table.add_column(title, justify="right", no_wrap=True)
    for size, price in listed.per_image.items():
        cells = [price, *(price * listed.factor(tier) for tier in sold)]
        table.add_row(f"    {'any' if size == '*' else size}", *map(_exact, cells))
    return table


def _tokens(listed: Prices) -> str:
    """The prices of tokens; what is not known is left out."""
    kinds = {
        "image": listed.image_per_million,
        "text and thinking": listed.text_per_million,
        "input": listed.input_per_million,
        "references": listed.input_image_per_million,
    }
    return ", ".join(f"{kind} {_exact(price)}" for kind, price in kinds.items() if price)


def _exact(dollars: Decimal) -> str:
    """All digits of a price: rounded to cents, small ones would look alike."""
    return f"${dollars.normalize():f}"
