"""Facts about a run that has ended, one under the other."""

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

Fact = tuple[str, str]


def summary(title: str, facts: Iterable[Fact]) -> Table:
    """A table of two columns: what, and how much. Its text is taken as it is, never as markup."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    return table
