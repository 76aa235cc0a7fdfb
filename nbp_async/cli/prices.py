"""`nbp prices`: the price table that bills are reckoned with."""

import click
from rich import box
from rich.console import Console
from rich.table import Table

from nbp_async import PROFILES, Prices
from nbp_async._words import money
from nbp_async.cli.output import say

_SIZES = ("1K", "2K", "4K")


@click.command()
def prices() -> None:
    """Show what an image costs, in US dollars, with the date and source of each figure."""
    endpoints: dict[int, list[str]] = {}
    tables: dict[int, Prices] = {}
    for name, profile in PROFILES.items():
        endpoints.setdefault(id(profile.prices), []).append(name)
        tables[id(profile.prices)] = profile.prices
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("endpoint", *_SIZES, "batch", "as of"):
        table.add_column(title, justify="left" if title == "endpoint" else "right", no_wrap=True)
    for key, figures in tables.items():
        cells = [money(figures.estimate(size)) for size in _SIZES]
        share = "-" if figures.batch is None else f"{figures.batch:.0%}"
        table.add_row("\n".join(endpoints[key]), *cells, share, figures.dated)
    console = Console(highlight=False)
    console.print(table)
    for key, figures in tables.items():
        say(console, f"  {', '.join(endpoints[key])}: {figures.source}")
    say(
        console,
        "\nbatch is the share of it that the batch API charges. An endpoint whose prices are not "
        "known is reckoned with Google's. Prices of your own: "
        "Client(Profile(..., prices=Prices(...))).",
    )
