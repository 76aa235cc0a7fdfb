"""The outcomes of one call together, and what they cost."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Protocol, overload

from nbp_async._base.errors import ConfigError, NbpError
from nbp_async._base.text import format_dollars
from nbp_async._models.bill import Bill, bill
from nbp_async._models.frames import PandasFrame, PolarsFrame, to_pandas, to_polars
from nbp_async._models.outcomes import Failure, Image, Outcome
from nbp_async._models.rows import row_of
from nbp_async._models.timeout_clusters import TimeoutClusters
from nbp_async.display.batch_view import BatchView
from nbp_async.display.progress import progress_of
from nbp_async.display.screen import notebook
from nbp_async.display.timeline import Timeline


class PlannedBatch(Awaitable["Batch"], Protocol):
    """What `Batch.retry_failed` gives: a `Plan`. Await it."""

    @property
    def partial(self) -> "Batch": ...

    def stop(self) -> None: ...


Dollars = Decimal | str | float


class RetryPlanner(Protocol):
    """Makes the failures of a batch again."""

    def __call__(
        self, batch: "Batch", *, resend_ambiguous: bool, max_cost: Dollars | None
    ) -> PlannedBatch: ...


class Batch(Sequence[Outcome]):
    """The outcomes of one `many`, in the order of the prompts.

    ```python
    for outcome in batch:
        print(outcome.path if outcome.ok else outcome.error)
    print(batch.billing.spent, batch.billing.maybe)
    ```
    """

    __slots__ = ("_again", "elapsed", "outcomes", "stopped")

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        *,
        elapsed: float = 0.0,
        stopped: NbpError | None = None,
        again: RetryPlanner | None = None,
    ) -> None:
        self.outcomes = tuple(outcomes)
        self.elapsed = elapsed
        self.stopped = stopped
        self._again = again

    @property
    def images(self) -> list[Image]:
        """The outcomes that are images."""
        return [o for o in self.outcomes if isinstance(o, Image)]

    @property
    def failures(self) -> list[Failure]:
        """The outcomes that are not."""
        return [o for o in self.outcomes if isinstance(o, Failure)]

    @property
    def billing(self) -> Bill:
        """What it cost: what was spent, and what may have been spent in addition."""
        return bill(self.outcomes)

    @property
    def hint(self) -> str:
        """What the failures have in common and what to do about it, or "".

        Calls that were cut off after the same number of seconds are a proxy's work, for instance.
        """
        cuts = TimeoutClusters()
        for failure in self.failures:
            cuts.add(failure)
        return cuts.warning()

    def raise_for_failures(self) -> None:
        """Raise an ExceptionGroup of the failures' errors, if there are any; with the `hint`."""
        errors = [with_context(failure) for failure in self.failures]
        if not errors:
            return
        group = ExceptionGroup(f"{len(errors)} of {len(self)} prompts brought no image", errors)
        if hint := self.hint:
            group.add_note(hint)
        raise group

    def retry_failed(
        self, *, resend_ambiguous: bool = False, max_cost: Dollars | None = None
    ) -> PlannedBatch:
        """Plan the failures once more, by the same client with the same options; await it.

        It gives a batch of all outcomes, in their order, with the attempts of both calls. Without
        failures to make it gives this batch, and sends nothing. What was billed without an
        image is paid for again; what may have been billed stays as it is. In a run's folder the
        run goes on: its journal is asked and written, and links are fetched; without a journal an
        image that is behind a link stays there.

        Args:
            resend_ambiguous: Also what may have been billed; needs a `max_cost`.
            max_cost: Dollars for everything, what this batch has cost or may have included; None
                for what its call had.

        Raises:
            ClosedError: The client is closed. Nothing was sent.
            ConfigError: The failures were made again before, or the batch is not the result of a
                `many`. Nothing was sent.
            JournalError: The run's journal cannot be used, or another process uses it.
            asyncio.CancelledError: You cancelled; what came is in the plan's `partial`.
        """
        if self._again is None:
            raise ConfigError(
                "Only the batch that a many() ended with can be tried again, where it was made: "
                "not one that was pickled, put together, or is still being made. Nothing was sent."
            )
        return self._again(self, resend_ambiguous=resend_ambiguous, max_cost=max_cost)

    def timeline(self) -> Timeline:
        """When each request waited, was out and came back: a notebook shows it as a picture, and
        `batch.timeline().save("timeline.svg")` writes it. Earlier calls of a run are not in it.
        """
        return Timeline(self.outcomes)

    def to_pandas(self) -> PandasFrame:
        """A pandas DataFrame with a row for each outcome; the columns are the fields of `Row`.

        An empty batch has the same columns, of the same types. Dollars are exact Decimals in
        columns of objects: add them up as they are, and take `.astype(float)` for charts.

        Raises:
            ImportError: pandas is not installed (extra [frames]).
        """
        return to_pandas(map(row_of, self.outcomes))

    def to_polars(self) -> PolarsFrame:
        """The same as a polars DataFrame; dollars are Decimal(38, 12), exact.

        Raises:
            ImportError: polars is not installed (extra [frames]).
        """
        return to_polars(map(row_of, self.outcomes))

    def _repr_html_(self) -> str:
        """What a notebook shows: some small pictures, never the originals. Blocks while it makes
        them.
        """
        return self._view().html()

    def _ipython_display_(self) -> None:
        """The same in a kernel, which gets the pictures as threads make them."""
        screen = notebook()
        if screen is None or not self._view().show(screen):
            raise NotImplementedError  # IPython then takes the representations above

    def _view(self) -> BatchView:
        now = progress_of(
            self.outcomes,
            state="done" if self.stopped is None else "stopped",
            total=len(self),
            elapsed=self.elapsed,
            note=str(self.stopped or ""),
        )
        saved = self.billing.saved_by_batch
        facts = [f"{format_dollars(saved)} saved by batch"] if saved else []
        return BatchView(now, self.outcomes, text=repr(self), facts=facts)

    def __reduce__(self) -> tuple[Callable[..., "Batch"], tuple[Any, ...]]:
        return _unpickled, (self.outcomes, self.elapsed, self.stopped)

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequence[Outcome]": ...
    def __getitem__(self, index: int | slice) -> "Outcome | Sequence[Outcome]":
        return self.outcomes[index]

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def __repr__(self) -> str:
        failed = len(self.failures)
        parts = [f"{len(self) - failed} ok"] + ([f"{failed} failed"] if failed else [])
        cost = self.billing
        parts.append(f"${cost.spent:.2f}" + (f" + perhaps ${cost.maybe:.2f}" if cost.maybe else ""))
        parts.append(f"{self.elapsed:.1f} s")
        hint = self.hint
        return f"Batch({', '.join(parts)})" + (f"\n{hint}" if hint else "")


def _unpickled(outcomes: tuple[Outcome, ...], elapsed: float, stopped: NbpError | None) -> Batch:
    return Batch(outcomes, elapsed=elapsed, stopped=stopped)


def with_context(failure: Failure) -> NbpError:
    error = failure.error
    row = "" if failure.prompt.row is None else f", row {failure.prompt.row}"
    note = f"index {failure.index}{row}: {failure.prompt!r}; billed: {failure.billing}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error


def with_bill(failure: Failure) -> NbpError:
    """The failure's error, with what was billed: as attributes, and in a note."""
    spent, maybe = failure.spent, failure.maybe_spent
    error = failure.error
    error.billing, error.cost = failure.billing, spent + maybe
    error.attempts, error.outcome = failure.attempts, failure
    parts = [f"${spent} spent"] if spent else []
    parts += [f"${maybe} may have been billed"] if maybe else []
    error.add_note(", ".join(parts) or "Nothing was billed.")
    return error
