"""What became of a run, in numbers that stay small however long it is."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from nbp_async import AuthError, CancelledAttemptError, Failure, Image, Outcome, StoppedError
from nbp_async._cuts import Cuts
from nbp_async._words import money, plural, printable
from nbp_async.cli import codes
from nbp_async.cli.spelling import as_typed

_NAMED = 10  # prompts of one reason that are listed by number
_CHARGED = {"yes": "billed", "maybe": "may have been billed"}


class Reason:
    """Failures of one kind: how many, which, what the first one said, and who pays."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.message = message
        self.count = 0
        self.numbers: list[int] = []
        self.charged: dict[str, int] = {}

    def add(self, failure: Failure) -> None:
        self.count += 1
        self.charged[failure.billing] = self.charged.get(failure.billing, 0) + 1
        if len(self.numbers) < _NAMED:
            self.numbers.append(failure.index + 1)

    def __str__(self) -> str:
        which = ", ".join(f"#{number}" for number in self.numbers)
        more = ", …" if self.count > len(self.numbers) else ""
        bills = [
            f"{self.charged[kind]} {_CHARGED[kind]}" for kind in _CHARGED if kind in self.charged
        ]
        charged = "; ".join(bills) or "not billed"
        return f"{self.count} × {self.name} ({which}{more}; {charged}): {self.message}"


class Tally:
    """Counts outcomes as they come.

    Attributes:
        images: Images that were made.
        failed: Prompts that were tried, and brought none.
        dropped: Prompts that were given up while their request was out.
        spent: US dollars that were certainly charged.
        maybe: US dollars that may have been charged besides.
        resumed: Images among them that an earlier call had made.
        saved: US dollars that those had cost.
        saved_by_batch: US dollars that held calls would have cost more.
        key_refused: The vendor refused the key.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.images = 0
        self.failed = 0
        self.dropped = 0
        self.spent = Decimal(0)
        self.maybe = Decimal(0)
        self.saved = Decimal(0)
        self.saved_by_batch = Decimal(0)
        self.resumed = 0
        self.key_refused = False
        self._reasons: dict[str, Reason] = {}
        self._cuts = Cuts()

    def add(self, outcome: Outcome) -> None:
        self.spent += outcome.spent
        self.maybe += outcome.maybe_spent
        self.saved_by_batch += outcome.reduced
        if isinstance(outcome, Image):
            self.images += 1
            self.resumed += outcome.resumed
            self.saved += outcome.spent_earlier if outcome.resumed else 0
        elif isinstance(outcome.error, CancelledAttemptError):
            self.dropped += 1
        elif not isinstance(outcome.error, StoppedError) or outcome.attempts:
            self._fail(outcome)
        if isinstance(outcome, Failure):
            self._cuts.add(outcome)

    def add_all(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.add(outcome)

    def _fail(self, failure: Failure) -> None:
        self.failed += 1
        self.key_refused = self.key_refused or isinstance(failure.error, AuthError)
        name = type(failure.error).__name__
        reason = self._reasons.get(name)
        if reason is None:
            reason = self._reasons[name] = Reason(name, printable(str(failure.error)))
        reason.add(failure)

    @property
    def not_sent(self) -> int:
        """Prompts for which nothing was sent, because the run was stopped before."""
        return max(0, self.total - self.images - self.failed - self.dropped)

    def code(self, *, stopped: bool, durable: bool = False) -> int:
        """The exit code of the command.

        A stopped run that can go on later has done well if nothing that it sent is left open.
        """
        if stopped and durable and not (self.failed or self.dropped or self.maybe):
            return codes.ALL_MADE
        if stopped and not durable and self.images + self.failed < self.total:
            return codes.STOPPED
        if self.key_refused:
            return codes.KEY
        if self.failed or self.dropped or self.not_sent or self.maybe:
            return codes.SOME_FAILED
        return codes.ALL_MADE

    def lines(self) -> Iterator[str]:
        """What to tell people when it has ended."""
        parts = [plural(self.images, "image")]
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.not_sent} not sent"] if self.not_sent else []
        yield " · ".join([*parts, f"{money(self.spent)} spent"])
        if self.resumed:
            was = "was" if self.resumed == 1 else "were"
            yield (
                f"{plural(self.resumed, 'image')} {was} there already: {money(self.saved)} saved."
            )
        if self.saved_by_batch:
            yield f"By the batch API: {money(self.saved_by_batch)} saved against held calls."
        if self.dropped:
            yield (
                f"{plural(self.dropped, 'image')} dropped in flight: the vendor goes on, and may "
                "bill them."
            )
        if self.maybe:
            yield f"May have been billed besides: {money(self.maybe)}."
        yield from self.problems()

    def advice(self, *, durable: bool) -> Iterator[str]:
        """What to do next, where the folder is a run that can go on."""
        if durable and self.not_sent:
            yield "The same command goes on where this one ended."
        if durable and self.maybe:
            yield (
                "What may have been billed is not sent again, unless you add --resend-ambiguous "
                "and, as --max-cost, the dollars that the whole run may cost."
            )

    def problems(self) -> Iterator[str]:
        """One line for each kind of failure, the most frequent first."""
        for reason in sorted(self._reasons.values(), key=lambda r: -r.count):
            yield f"  {reason}"
        cut = self._cuts.words()
        if cut:
            yield as_typed(cut)
