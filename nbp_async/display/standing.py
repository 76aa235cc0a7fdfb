"""Where a run stands, added up from its rows: one pass, and memory that does not grow with them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from nbp_async._rows import Row
from nbp_async._stores.address import is_store
from nbp_async._words import money, plural, printable
from nbp_async.display.links import Links
from nbp_async.display.summary import Fact

_NAMED = 20  # items that may have been billed and are named one by one
_STORES = 5  # stores that are named
_HOW = {
    "stored": "image",
    "answered": "link",
    "failed": "failed",
    "planned": "not sent",
    "armed": "out",
    "submitted": "at the vendor",
}
_CHARGED = {"yes": "billed", "maybe": "may have been billed", "no": "not billed"}


def word_of(row: Row) -> str:
    """An item's state in a word or three, such as image, link, unclear, lost, out or not sent."""
    if row.state == "failed" and row.billing != "no":
        return "unclear" if row.billing == "maybe" else "lost"
    return _HOW.get(row.state, row.state)


def dollars_of(row: Row) -> str:
    """What an item cost; what it may have cost besides has a question mark."""
    certain = money(row.spent_usd) if row.spent_usd else ""
    maybe = f"{money(row.maybe_usd)}?" if row.maybe_usd else ""
    return " + ".join(filter(None, [certain, maybe]))


class Standing:
    """Counts the rows of a run.

    Args:
        rows: Read once, while this is made.
        folder: The run's folder. Each image's file is looked for there; stores are not asked.
    """

    def __init__(self, rows: Iterable[Row], folder: Path) -> None:
        self.items = 0
        self.gone = 0
        self.spent = Decimal(0)
        self.maybe = Decimal(0)
        self.saved_by_batch = Decimal(0)
        self._folder = folder
        self._stores: Counter[str] = Counter()
        self._states: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._charged: Counter[str] = Counter()
        self._ends: list[float | None] = []
        self._unclear = 0
        self._named: list[Row] = []
        for row in rows:
            self._add(row)

    def _add(self, row: Row) -> None:
        self.items += 1
        self.spent += row.spent_usd
        self.maybe += row.maybe_usd
        self.saved_by_batch += row.saved_by_batch_usd
        self._states[row.state] += 1
        if row.state == "stored":
            self._keep(row.path)
        elif row.state == "answered":
            self._ends.append(row.url_expires)
        elif row.state == "failed":
            self._reasons[row.reason] += 1
            self._charged[row.billing] += 1
        if row.maybe_usd and row.state != "submitted":
            self._unclear += 1
            if len(self._named) < _NAMED:
                self._named.append(row)

    def _keep(self, path: str) -> None:
        if is_store(path):
            place, _, options = path.partition("?")
            self._stores[place.rpartition("/")[0] + (f"?{options}" if options else "")] += 1
        elif path and not (self._folder / path).is_file():
            self.gone += 1

    def facts(self, now: float) -> Iterator[Fact]:
        """What to tell of it; `now` is in seconds since 1970."""
        states = self._states
        gone = f", {plural(self.gone, 'file')} not where it was" if self.gone else ""
        yield "images", f"{states['stored']:,} of {self.items:,}{gone}"
        for place, count in self._stores.most_common(_STORES):
            yield "in a store", f"{count:,} in {printable(place)}"
        if states["failed"]:
            yield "failed", f"{states['failed']:,}: {_counted(self._reasons)}"
            yield (
                "",
                ", ".join(
                    f"{self._charged[who]:,} {words}"
                    for who, words in _CHARGED.items()
                    if self._charged[who]
                ),
            )
        if states["answered"]:
            links = Links(self._ends, now)
            yield "still a link", f"{links.count:,}, paid; {links}"
            yield "", links.warning() or "nbp fetch brings them"
        if states["armed"]:
            yield "out", f"{states['armed']:,}: on their way now, or when the run was killed"
        if states["submitted"]:
            yield "at the vendor", f"{states['submitted']:,}: the next call asks for them"
        if states["planned"]:
            yield "not sent", f"{states['planned']:,}"
        yield "spent", money(self.spent)
        if self.maybe:
            yield "may be spent", f"{money(self.maybe)} besides"
        if self.saved_by_batch:
            yield "saved by batch", f"{money(self.saved_by_batch)}: held calls cost so much more"

    def unclear(self) -> Iterator[str]:
        """A line for each item that may have been billed, and one for all that are too many."""
        numbers = [f"#{row.index + 1}" for row in self._named]
        sums = [money(row.maybe_usd) for row in self._named]
        wide, wider = max(map(len, numbers), default=0), max(map(len, sums), default=0)
        for row, number, amount in zip(self._named, numbers, sums, strict=True):
            yield f"{number:>{wide}}  {amount:>{wider}}  {printable(row.prompt)}"
        if self._unclear > len(self._named):
            yield f"and {self._unclear - len(self._named):,} more"


def _counted(reasons: Counter[str]) -> str:
    """`ReadTimeout × 2, ContentBlockedError × 1`, the most frequent first."""
    return ", ".join(f"{reason or '?'} × {count:,}" for reason, count in reasons.most_common())
