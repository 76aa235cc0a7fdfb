"""What a run has cost, added up from its attempts."""

import sqlite3
from collections.abc import Iterable
from decimal import Decimal

from nbp_async._journal import records
from nbp_async._journal.base import RunTotals
from nbp_async._models.bill import AccountBill, bills_of_accounts
from nbp_async._models.outcomes import ZERO, Attempt, Timings


def compute_totals(db: sqlite3.Connection, now: float, period: float) -> RunTotals:
    """Add up the attempts. Here and not in SQL, which would add dollars as floats."""
    spent = maybe = ZERO
    recent: list[tuple[float, Decimal]] = []
    attempts: Iterable[tuple[object, ...]] = db.execute(
        "SELECT billing, cost, most, settled_at FROM attempt ORDER BY settled_at"
    )
    for billing, cost, most, settled_at in attempts:
        dollars = Decimal(str(most if billing is None else cost))
        if billing == "yes":
            spent += dollars
        elif billing != "no":
            maybe += dollars
        if billing != "no":
            age = max(0.0, now - settled_at) if isinstance(settled_at, float) else 0.0
            if age < period:
                recent.append((age, dollars))
    images = db.execute("SELECT count(*) FROM item WHERE state = 'stored'").fetchone()[0]
    return RunTotals(spent, maybe, int(images), tuple(sorted(recent, reverse=True)))


def account_totals(db: sqlite3.Connection) -> dict[str, AccountBill]:
    """What each account has cost, by name, of a run that several made."""
    query = "SELECT record, most, account FROM attempt WHERE account <> ''"
    found: Iterable[tuple[str | None, str, str]] = db.execute(query)
    return bills_of_accounts(
        Attempt(0, "maybe", Decimal(most), Timings(0.0, 0.0), error="It may be out.", account=name)
        if record is None
        else records.decode_attempt(record, None)
        for record, most, name in found
    )
