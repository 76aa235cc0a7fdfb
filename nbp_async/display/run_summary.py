"""The sums of a run, added up from its rows: one pass, in memory that does not grow with them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from nbp_async._base.text import format_dollars, plural, printable
from nbp_async._models.bill import AccountBill
from nbp_async._models.rows import Row
from nbp_async._stores.store_address import is_store
from nbp_async.display.link_expiry import LinkExpiry

Fact = tuple[str, str]
"""A name, and how much; a fact without a name belongs to the one before."""

_MOST_LISTED = 20  # items that may have been billed and have a line each
_MOST_STORES = 5  # stores that have a line each
_MOST_WAYS = 3  # in which images differ from what was requested
_STATES = {
    "stored": "image",
    "answered": "link",
    "failed": "failed",
    "queued": "queued",
    "planned": "not sent",
    "armed": "in flight",
    "submitted": "at the vendor",
}
_BILLING = {"yes": "billed", "maybe": "may have been billed", "no": "not billed"}


def state_of(row: Row) -> str:
    """An item's state in a word or three, such as image, link, unclear, lost or not sent."""
    if row.state == "failed" and row.billing != "no":
        return "unclear" if row.billing == "maybe" else "lost"
    return _STATES.get(row.state, row.state)


def number_of(row: Row) -> int:
    """What people call an item: the number of its ticket, or its place from 1."""
    return row.index + 1 if row.ticket is None else row.ticket


def cost_of(row: Row) -> str:
    """What an item cost; what it may have cost has a question mark, what it holds has brackets."""
    certain = format_dollars(row.spent_usd) if row.spent_usd else ""
    maybe = f"{format_dollars(row.maybe_usd)}?" if row.maybe_usd else ""
    held = f"({format_dollars(row.held_usd)})" if row.held_usd else ""
    return " + ".join(filter(None, [certain, maybe, held]))


def commonest(mismatches: Counter[str]) -> str:
    """How images differ from what was requested, the most frequent ways first."""
    found = [f"{words} × {count:,}" for words, count in mismatches.most_common(_MOST_WAYS)]
    more = len(mismatches) - len(found)
    return "; ".join(found) + (f"; and {plural(more, 'other way')}" if more > 0 else "")


class RunSummary:
    """Counts the rows of a run.

    Args:
        rows: Read once, while this is made.
        folder: The run's folder. Each image's file is looked for there; stores are not asked.
        accounts: What each of several accounts has cost, by name.
    """

    def __init__(
        self, rows: Iterable[Row], folder: Path, accounts: Mapping[str, AccountBill] | None = None
    ) -> None:
        self.items = 0
        self.missing = 0
        self.spent = Decimal(0)
        self.maybe = Decimal(0)
        self.held = Decimal(0)
        self.saved_by_batch = Decimal(0)
        self._folder = folder
        self._accounts = accounts or {}
        self._stores: Counter[str] = Counter()
        self._states: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._billing: Counter[str] = Counter()
        self._mismatches: Counter[str] = Counter()
        self._unread = 0
        self._link_ends: list[float | None] = []
        self._unclear_count = 0
        self._unclear: list[Row] = []
        for row in rows:
            self._add(row)

    def _add(self, row: Row) -> None:
        self.items += 1
        self.spent += row.spent_usd
        self.maybe += row.maybe_usd
        self.held += row.held_usd
        self.saved_by_batch += row.saved_by_batch_usd
        self._states[row.state] += 1
        if row.state == "stored":
            self._add_path(row.path)
            if row.mismatch:
                self._mismatches[row.mismatch] += 1
        elif row.state == "answered":
            self._link_ends.append(row.url_expires)
        elif row.state == "failed":
            self._reasons[row.reason or "?"] += 1
            self._billing[row.billing] += 1
            self._unread += bool(row.unread)
        if row.maybe_usd and row.state != "submitted":
            self._unclear_count += 1
            if len(self._unclear) < _MOST_LISTED:
                self._unclear.append(row)

    def _add_path(self, path: str) -> None:
        if is_store(path):
            place, _, options = path.partition("?")
            self._stores[place.rpartition("/")[0] + (f"?{options}" if options else "")] += 1
        elif path and not (self._folder / path).is_file():
            self.missing += 1

    def facts(self, now: float) -> Iterator[Fact]:
        """What to tell; `now` is in seconds since 1970."""
        states = self._states
        missing = f", {plural(self.missing, 'file')} missing" if self.missing else ""
        yield "images", f"{states['stored']:,} of {self.items:,}{missing}"
        for place, count in self._stores.most_common(_MOST_STORES):
            yield "in a store", f"{count:,} in {printable(place)}"
        if count := self._mismatches.total():
            yield "other pixels", f"{count:,}: {commonest(self._mismatches)}"
        if states["failed"]:
            reasons = (f"{reason} × {count:,}" for reason, count in self._reasons.most_common())
            yield "failed", f"{states['failed']:,}: {', '.join(reasons)}"
            counts = ((self._billing[billing], words) for billing, words in _BILLING.items())
            yield "", ", ".join(f"{count:,} {words}" for count, words in counts if count)
        if self._unread:
            yield "kept answers", f"{self._unread:,} that could not be read; see nbp recover"
        if states["answered"]:
            links = LinkExpiry(self._link_ends, now)
            yield "still a link", f"{links.count:,}, paid; {links}"
            yield "", links.warning() or "nbp fetch brings them"
        if states["armed"]:
            yield "in flight", f"{states['armed']:,}: now, or when the run was killed"
        if states["submitted"]:
            yield "at the vendor", f"{states['submitted']:,}: the next call asks for them"
        if states["queued"]:
            yield "queued", f"{states['queued']:,}: nbp work makes them"
        if states["planned"]:
            yield "not sent", f"{states['planned']:,}"
        yield "spent", format_dollars(self.spent)
        if self.maybe:
            yield "may be spent", f"{format_dollars(self.maybe)} more"
        for name, bill in sorted(self._accounts.items()):
            maybe = f", perhaps {format_dollars(bill.maybe)} more" if bill.maybe else ""
            dollars = f"{format_dollars(bill.spent)}{maybe}"
            yield f"at {printable(name)}", f"{plural(bill.images, 'image')}, {dollars}"
        if self.held:
            yield "set aside", f"{format_dollars(self.held)} for what is queued"
        if self.saved_by_batch:
            saved = format_dollars(self.saved_by_batch)
            yield "saved by batch", f"{saved}: held calls would have cost that much more"

    def unclear(self) -> Iterator[str]:
        """A line for each item that may have been billed, and one that counts the rest."""
        numbers = [f"#{number_of(row)}" for row in self._unclear]
        sums = [format_dollars(row.maybe_usd) for row in self._unclear]
        widths = [max(map(len, column), default=0) for column in (numbers, sums)]
        for row, number, dollars in zip(self._unclear, numbers, sums, strict=True):
            yield f"{number:>{widths[0]}}  {dollars:>{widths[1]}}  {printable(row.prompt)}"
        if self._unclear_count > len(self._unclear):
            yield f"and {self._unclear_count - len(self._unclear):,} more"


def facts_table(title: str, facts: Iterable[Fact]) -> Group:
    """A title and facts below it, for a terminal. Text is never read as markup."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    # Not the table's own title, which rich cuts to the width of the table.
    return Group(Text(title, "italic", no_wrap=True), table)
