"""What outcomes cost together, in US dollars."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from nbp_async._models.outcomes import ZERO, Attempt, Failure, Image, Outcome


class AccountBill(msgspec.Struct, frozen=True):
    """What one of several accounts cost, in US dollars.

    Attributes:
        spent: Certainly charged there.
        maybe: May have been charged there in addition.
        images: How many images came from there, without extras.
    """

    spent: Decimal = ZERO
    maybe: Decimal = ZERO
    images: int = 0

    def plus(self, attempt: Attempt) -> "AccountBill":
        """With one more attempt at this account."""
        cost, billing = attempt.cost, attempt.billing
        return AccountBill(
            self.spent + (cost if billing == "yes" else ZERO),
            self.maybe + (cost if billing == "maybe" else ZERO),
            self.images + (billing == "yes" and not attempt.error),
        )


def bills_of_accounts(attempts: Iterable[Attempt]) -> dict[str, AccountBill]:
    """What each account cost; empty where a client has only one."""
    bills: dict[str, AccountBill] = {}
    for attempt in attempts:
        if attempt.account:
            bills[attempt.account] = bills.get(attempt.account, AccountBill()).plus(attempt)
    return bills


class Bill(msgspec.Struct, frozen=True):
    """What a batch cost, in US dollars.

    Attributes:
        spent: Certainly charged by this call.
        maybe: May have been charged in addition: each such outcome is in `unclear`.
        unclear: The outcomes with an attempt that may have been billed.
        images: How many images came.
        lost: Outcomes that were charged and brought no image.
        saved_by_batch: What the batch API's price saved on what was charged, earlier calls of the
            run included, against the same images by held calls.
        saved: Cost of images that are reused from earlier calls of the same run.
        accounts: The same for each account, by name, of a client that has several; else empty.
    """

    spent: Decimal
    maybe: Decimal
    unclear: tuple[Outcome, ...]
    images: int
    lost: tuple[Failure, ...]
    saved: Decimal = ZERO
    saved_by_batch: Decimal = ZERO
    accounts: dict[str, AccountBill] = {}

    def __repr__(self) -> str:
        more = f" + perhaps ${self.maybe:.2f}" if self.maybe else ""
        more += f", ${self.saved:.2f} saved" if self.saved else ""
        more += f", ${self.saved_by_batch:.2f} saved by batch" if self.saved_by_batch else ""
        return f"Bill(${self.spent:.2f} for {self.images} images{more})"


def note_dropped(exc: BaseException, dropped: Iterable[Outcome], where: str = "") -> None:
    """Say with a cancellation what it may cost; `where` are the failures that were in flight."""
    failures = [outcome for outcome in dropped if isinstance(outcome, Failure)]
    if not failures:
        return
    dollars = sum((o.spent + o.maybe_spent for o in failures), ZERO)
    images = "1 image was" if len(failures) == 1 else f"{len(failures)} images were"
    named = f" They are named in {where}." if where else ""
    exc.add_note(f"{images} in flight and may have been billed: up to ${dollars:.2f}.{named}")


def bill(outcomes: Sequence[Outcome]) -> Bill:
    """Add up what these outcomes cost."""
    return Bill(
        spent=sum((o.spent for o in outcomes), ZERO),
        maybe=sum((o.maybe_spent for o in outcomes), ZERO),
        unclear=tuple(o for o in outcomes if o.maybe_spent),
        images=sum(1 + len(o.extras) for o in outcomes if isinstance(o, Image)),
        lost=tuple(o for o in outcomes if isinstance(o, Failure) and o.billing == "yes"),
        saved=sum((o.spent_earlier for o in outcomes if isinstance(o, Image)), ZERO),
        saved_by_batch=sum((o.reduced for o in outcomes), ZERO),
        accounts=bills_of_accounts(attempt for o in outcomes for attempt in o.attempts),
    )
