"""`nbp prices`: the price table that bills are reckoned with."""

import click
from rich import box
from rich.console import Console
from rich.table import Table

from nbp_async import PROFILES, Prices
from nbp_async.display.words import money

_SIZES = ("1K", "2K", "4K")


@click.command()
def prices() -> None:
    """Show what an image costs, in US dollars, with the date and source of each figure."""
    endpoints: dict[int, list[str]] = {}
    tables: dict[int, Prices] = {}
    for name, profile in PROFILES.items():
        endpoints.setdefault(id(profile.prices), []).append(name)
        tables[id(profile.prices)] = profile.prices
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("endpoint", *_SIZES, "as of", "source"):
        table.add_column(title, justify="right" if title in _SIZES else "left", overflow="fold")
    for key, figures in tables.items():
        cells = (money(figures.estimate(size)) for size in _SIZES)
        table.add_row("\n".join(endpoints[key]), *cells, figures.dated, figures.source)
    Console(highlight=False).print(table)
    click.echo("An endpoint whose prices are not known is reckoned with Google's. Prices of your")
    click.echo("own: Client(Profile(..., prices=Prices(...))).")
