"""The money of submitted items in a file, by owner and day of submission. See `run_queue`.

Dollars are text, and added up here: SQLite would add them as floats. All of it runs within the
operations of the journal and of its queue, so that one commit moves state and money.
"""

import sqlite3
from decimal import Decimal
from typing import Any

from nbp_async._journal.run_queue import Period, Purse
from nbp_async._journal.run_totals import compute_totals
from nbp_async._models.outcomes import ZERO, Attempt


class SqlitePurses:
    """What is set aside and charged, and the order of changes.

    Attributes:
        change: The number of the last change of a submitted item.
    """

    def __init__(self) -> None:
        self.change = 0
        self._charged: Decimal | None = None  # held, spent, maybe and reserved in the whole run

    def begin_session(self, db: sqlite3.Connection) -> None:
        (self.change,) = db.execute("SELECT coalesce(max(changed), 0) FROM item").fetchone()

    def next_change(self) -> int:
        self.change += 1
        return self.change

    def stamp(self, db: sqlite3.Connection, item: int) -> None:
        """The item has changed."""
        db.execute("UPDATE item SET changed = ? WHERE id = ?", (self.next_change(), item))

    def on_arm(self, db: sqlite3.Connection, item: int, most: Decimal) -> Decimal | None:
        """Set aside what its attempt costs; or give what is left, if its owner's budget has not
        enough for it.
        """
        known = self._ticket(db, item)
        if known is None:
            self._charged = None
            return None
        payer, day, reserved = known
        left = left_of_budget(db, payer, day)
        if left is not None and left + reserved < most:
            return left + reserved
        db.execute("UPDATE item SET reserved = '0' WHERE id = ?", (item,))
        self.charge(db, payer, day, held=most - reserved)
        self.stamp(db, item)
        return None

    def on_settle(self, db: sqlite3.Connection, item: int, attempt: Attempt) -> None:
        """Charge what an attempt cost, before it is written."""
        known = self._ticket(db, item)
        if known is None:
            self._charged = None
            return
        payer, day, _ = known
        was = db.execute(
            "SELECT billing, cost, most FROM attempt WHERE item = ? AND number = ?",
            (item, attempt.number),
        ).fetchone()
        if was is None:
            return
        change = {"yes": ZERO, "maybe": ZERO, "no": ZERO, None: ZERO}
        change[was[0]] -= Decimal(was[2] if was[0] is None else was[1])
        change[attempt.billing] += attempt.cost
        self.charge(db, payer, day, held=change[None], spent=change["yes"], maybe=change["maybe"])
        self.stamp(db, item)

    def on_finish(self, db: sqlite3.Connection, item: int, state: object) -> None:
        """Give back what is still set aside, before the item's outcome is written."""
        known = self._ticket(db, item)
        if known is None:
            return
        payer, day, reserved = known
        (before,) = db.execute("SELECT state FROM item WHERE id = ?", (item,)).fetchone()
        db.execute("UPDATE item SET reserved = '0' WHERE id = ?", (item,))
        images = (state == "stored") - (before == "stored")
        self.charge(db, payer, day, held=-reserved, images=images)
        self.stamp(db, item)

    def _ticket(self, db: sqlite3.Connection, item: int) -> tuple[str, str, Decimal] | None:
        """Owner, day and what is set aside of a submitted item; None of another one."""
        row = db.execute(
            "SELECT payer, day, reserved FROM item WHERE id = ? AND ticket NOT NULL", (item,)
        ).fetchone()
        return None if row is None else (row[0], row[1], Decimal(row[2]))

    def charge(
        self,
        db: sqlite3.Connection,
        payer: str,
        day: str,
        *,
        held: Decimal = ZERO,
        spent: Decimal = ZERO,
        maybe: Decimal = ZERO,
        images: int = 0,
        last_turn: int = 0,
    ) -> None:
        row = db.execute(
            "SELECT held, spent, maybe, images, last_turn FROM purse WHERE payer = ? AND day = ?",
            (payer, day),
        ).fetchone()
        before = row or ("0", "0", "0", 0, 0)
        sums = (Decimal(x) + y for x, y in zip(before, (held, spent, maybe), strict=False))
        db.execute(
            "INSERT OR REPLACE INTO purse VALUES (?, ?, ?, ?, ?, ?, ?)",
            (payer, day, *map(str, sums), before[3] + images, max(before[4], last_turn)),
        )
        if self._charged is not None:
            self._charged += held + spent + maybe

    def total(self, db: sqlite3.Connection) -> Decimal:
        """What the whole run holds and has cost. Added up once: every change goes by here."""
        if self._charged is None:
            totals = compute_totals(db, 0.0, 0.0)
            query = "SELECT reserved FROM item WHERE ticket NOT NULL AND reserved <> '0'"
            reserved = sum((Decimal(row[0]) for row in db.execute(query)), ZERO)
            self._charged = totals.spent + totals.maybe + reserved
        return self._charged


def budgets_of(db: sqlite3.Connection, owner: str) -> dict[Period, Decimal]:
    rows: Any = db.execute("SELECT period, dollars FROM budget WHERE payer = ?", (owner,))
    return {period: Decimal(dollars) for period, dollars in rows}


def left_of_budget(db: sqlite3.Connection, payer: str, day: str) -> Decimal | None:
    """What is left of an owner's budgets for an item of that day; None without budgets."""
    first = {"day": day, "month": day[:7], "all": ""}
    left = None
    for period, dollars in budgets_of(db, payer).items():
        purse = purse_of(db, payer, first[period], first[period] + "~")
        rest = dollars - purse.held - purse.spent - purse.maybe
        left = rest if left is None else min(left, rest)
    return left


def purse_of(db: sqlite3.Connection, owner: str | None, first: str, last: str) -> Purse:
    """Days are compared as text: "2026-11" comes before all days of its month, "2026-11~" after."""
    held = spent = maybe = ZERO
    images = 0
    for row in db.execute(
        "SELECT held, spent, maybe, images FROM purse "
        "WHERE (? IS NULL OR payer = ?) AND day BETWEEN ? AND ?",
        (owner, owner, first, last),
    ):
        held, spent, maybe = (
            held + Decimal(row[0]),
            spent + Decimal(row[1]),
            maybe + Decimal(row[2]),
        )
        images += row[3]
    return Purse(held, spent, maybe, images)
