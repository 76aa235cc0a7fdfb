"""`nbp prices`: the price table that bills are reckoned with."""

import click
from rich import box
from rich.console import Console
from rich.table import Table

from nbp_async import PROFILES
from nbp_async.display.words import money

_SIZES = ("1K", "2K", "4K")


@click.command()
def prices() -> None:
    """Show what an image costs, in US dollars, with the date and source of each figure."""
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("endpoint", *_SIZES, "as of", "source"):
        table.add_column(title, justify="right" if title in _SIZES else "left")
    for name, profile in PROFILES.items():
        figures = profile.prices
        cells = (money(figures.estimate(size)) for size in _SIZES)
        table.add_row(name, *cells, figures.dated, figures.source)
    Console(highlight=False).print(table)
    click.echo("A price of your own: Client(endpoint=Profile(..., prices=Prices(...))).")
