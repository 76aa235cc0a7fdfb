"""Facts about a run that has ended, one under the other."""

from collections.abc import Iterable

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

Fact = tuple[str, str]


def summary(title: str, facts: Iterable[Fact]) -> Group:
    """A title, and under it what, and how much. Text is taken as it is, never as markup."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    # Not the table's own title, which is cut to its width.
    return Group(Text(title, "italic", no_wrap=True), table)
