"""What a call would do: how many images, for how much, how long. Nothing is sent."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from nbp_async._base.option_text import OptionWriter, as_keyword
from nbp_async._base.text import format_dollars
from nbp_async._flow.resume_state import ResumePolicy
from nbp_async._journal.identity import identity, stand_ins
from nbp_async._models.outcomes import ZERO, Job
from nbp_async._models.settings import Limits
from nbp_async._sinks.disk_space import MIN_FREE, expected_bytes

TYPICAL_HOLD = 100.0  # seconds: the middle of the 30-170 s that images take

Standing = dict[bytes, list[str]]
"""The states of the items of each identity: "there", "link", "out", "maybe", "lost" or "new"."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a `many` would do now.

    Attributes:
        images: Images that the call is for.
        there: Of these, already in the run's folder.
        linked: Paid for, and only to be fetched by their links.
        out: At the vendor already, as tasks or in batch jobs: they are polled, not sent again.
        unclear: May have been billed by an earlier call: sent again only with `resend_ambiguous`.
        lost: Billed by an earlier call and not there: sent again only with `retry_failed`.
        to_send: Requests that would be sent.
        cost: US dollars that these should cost, by the price list.
        most: US dollars that are reserved for them, with text tokens that are not known yet.
        room: US dollars that `max_cost` leaves to the run, or None without one.
        seconds: How long they take at least, with these slots, rate and spend limit, if an image
            takes 100 s; 0 with the batch API.
        batch: They go by the batch API, at any time within a day.
        disk_needed: Bytes that the images need, about; 0 without a folder or a store, and where
            links are kept.
        disk_free: Bytes that are free in the folder, or None without one.
        store: The store that they go to, which says nothing of free space; "" without one. What
            is `there` is so by the journal: the store is asked by the call itself.
    """

    images: int
    there: int = 0
    linked: int = 0
    out: int = 0
    unclear: int = 0
    lost: int = 0
    to_send: int = 0
    cost: Decimal = ZERO
    most: Decimal = ZERO
    room: Decimal | None = None
    seconds: float = 0.0
    batch: bool = False
    disk_needed: int = 0
    disk_free: int | None = None
    store: str = ""

    @property
    def covered(self) -> int:
        """For how many of them `max_cost` is enough, about: the last needs the full reserve."""
        if self.room is None or self.room >= self.most:
            return self.to_send
        each, last = self.cost / self.to_send, self.most / self.to_send
        return int((self.room - last) / each) + 1 if self.room >= last and each else 0

    @property
    def fits(self) -> bool:
        """The disk has room for what would be made."""
        return self.disk_free is None or self.disk_free >= self.disk_needed + MIN_FREE

    def lines(self, write: OptionWriter = as_keyword) -> Iterator[str]:
        """In words.

        Args:
            write: Writes the name of an option, as `max_cost` or `--max-cost`.
        """
        noun = "image" if self.images == 1 else "images"
        yield f"{self.images:,} {noun}: {self.to_send:,} to make, about ${self.cost:,.2f}"
        kept = [
            (self.there, "there already"),
            (self.linked, "paid for, to be fetched by link"),
            (self.out, "at the vendor already: only polled"),
            (
                self.unclear,
                f"may have been billed before: only with {write('resend_ambiguous', None)}",
            ),
            (
                self.lost,
                f"were billed before and are not there: only with {write('retry_failed', None)}",
            ),
        ]
        yield from (f"{count:,} {words}" for count, words in kept if count)
        if self.room is not None and self.covered < self.to_send:
            many = f"about {self.covered:,}" if self.covered else "none"
            cap = write("max_cost", None)
            yield f"{cap} leaves {format_dollars(self.room)}: enough for {many} of them"
        if self.to_send and self.batch:
            yield "by the batch API: within a day, and given up after two"
        elif self.to_send:
            yield f"at least {_span(self.seconds)}, if an image takes {TYPICAL_HOLD:.0f} s"
        if self.disk_free is not None and self.disk_needed:
            short = "" if self.fits else " - NOT ENOUGH"
            needed, free = _weight(self.disk_needed), _weight(self.disk_free)
            yield f"disk: about {needed} needed, {free} free{short}"
        if self.store and self.disk_needed:
            yield f"store: about {_weight(self.disk_needed)} to {self.store}"


def preview(
    jobs: Iterable[Job],
    limits: Limits,
    *,
    standing: Standing,
    account: str,
    again: ResumePolicy,
    folder: Path | None,
    store: str = "",
    only: frozenset[int] | None = None,
    batch: bool = False,
    keeps_links: bool = False,
) -> Preview:
    """Look at each job, and at what the journal knows of it; count those at the places `only`."""
    found = Counter[str]()
    needed, cost, most = 0, ZERO, ZERO
    for job, kind in _kinds(jobs, standing, account, again):
        if only is not None and job.index not in only:
            continue
        # Where links are kept, one that is known is there already.
        found["there" if keeps_links and kind == "link" else kind] += 1
        if kind == "new":
            cost, most = cost + job.price, most + job.most
            needed += expected_bytes(job.canvas.tier)
    return Preview(
        images=found.total(),
        there=found["there"],
        linked=found["link"],
        out=found["out"],
        unclear=found["maybe"],
        lost=found["lost"],
        to_send=found["new"],
        cost=cost,
        most=most,
        seconds=0.0 if batch else _least(limits, found["new"], cost),
        batch=batch,
        disk_needed=needed if (folder is not None or store) and not keeps_links else 0,
        disk_free=None if folder is None else shutil.disk_usage(_existing(folder)).free,
        store=store,
    )


def _kinds(
    jobs: Iterable[Job], standing: Standing, account: str, again: ResumePolicy
) -> Iterator[tuple[Job, str]]:
    """Each job, and what would become of it: of equal ones the first takes the first item."""
    seen = Counter[bytes]()
    digest_of = _digester()
    for job in jobs:
        kind = "new"
        if standing:
            key = identity(job, account, digest_of(job))
            for one in (key, *stand_ins(job)):  # stand-ins are in rebuilt journals only
                known = standing.get(one, [])
                if seen[one] < len(known):
                    kind = known[seen[one]]
                    seen[one] += 1
                    break
        yield job, _asked_again(kind, again)


def _asked_again(kind: str, again: ResumePolicy) -> str:
    if (kind == "maybe" and again.resend_ambiguous) or (kind == "lost" and again.retry_failed):
        return "new"
    return kind


def _least(limits: Limits, count: int, cost: Decimal) -> float:
    """Seconds that so many images take at least."""
    if not count:
        return 0.0
    rounds = -(-count // limits.most_in_flight)
    least = rounds * TYPICAL_HOLD
    if limits.departures is not None:
        least = max(least, (count - limits.burst) * limits.departures.interval + TYPICAL_HOLD)
    window = limits.spend_window
    if window is not None:
        least = max(least, float(int((cost - Decimal("0.01")) // window.dollars)) * window.period)
    return least


def _digester() -> Callable[[Job], tuple[bytes, ...]]:
    """Digests of a job's references; a file that many prompts share is read once."""
    known: dict[Path, bytes] = {}

    def digest(item: str | Path | bytes) -> bytes:
        if isinstance(item, bytes):
            return hashlib.sha256(item).digest()
        if isinstance(item, str) and "://" in item:
            return hashlib.sha256(item.encode()).digest()
        path = Path(item)
        if path not in known:
            known[path] = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
        return known[path]

    return lambda job: tuple(map(digest, job.prompt.references))


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _weight(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
