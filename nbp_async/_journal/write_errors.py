"""What keeps the journal from being written, or a request from leaving, and what to do."""

from decimal import Decimal

from nbp_async._base.errors import BudgetError, JournalError

_HINTS = {  # by what SQLite says
    "full": "Free space on that disk, then run again: nothing that is stored is bought twice.",
    "disk I/O": "Look at that disk (space, quota, health), then run again: nothing that is stored "
    "is bought twice.",
    "readonly": "Its folder is read-only: change that, then run again.",
    "locked": "Something else holds it open for writing: close that, then run again.",
}


def write_error(cause: Exception) -> JournalError:
    """The error for the caller whose operation was not written because of `cause`."""
    reason = str(cause)
    hint = next((hint for words, hint in _HINTS.items() if words in reason), "")
    error = JournalError(
        f"The run's journal cannot be written: {reason}. Nothing more is sent.", hint=hint
    )
    error.__cause__ = cause
    return error


def over_limit(
    most: Decimal, left: Decimal, *, whose: str = "its owner", cap: Decimal | None = None
) -> BudgetError:
    """The error where the money of a run, or of an item's owner, is not enough for an attempt."""
    return BudgetError(
        f"not sent, because it may cost ${most.normalize():f} and only "
        f"${max(Decimal(0), left).normalize():f} is left of what {whose} may spend.",
        option="budget" if cap is None else "max_cost",
        value=cap,
        hint="What is in flight and what may have been billed counts too. Raise the limit, or run "
        "again when all has ended.",
    )
