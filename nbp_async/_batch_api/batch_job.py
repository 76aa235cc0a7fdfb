"""One batch job, from its lines to its results, over as many processes as that takes.

| the journal says | what the next process does |
| --- | --- |
| planned | nothing was bought: it frees the lines |
| creating | it may exist: looks for its name in the vendor's list, and never creates it again |
| created | polls it, and fetches what it made |
| over | nothing |
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from nbp_async._base.errors import (
    InvalidRequestError,
    NbpError,
    QuotaError,
    RateLimitError,
    StorageError,
    TaskFailedError,
    TaskLostError,
    TaskOpenError,
)
from nbp_async._base.http import Billing
from nbp_async._base.task_handle import Handle
from nbp_async._batch_api.batch_client import BatchClient, in_doubt, may_succeed_later
from nbp_async._batch_api.batch_dialect import BatchDialect, JobStatus, Source
from nbp_async._batch_api.batch_ledger import BatchItem, BatchLedger, JobRecord, record_from
from nbp_async._batch_api.result_lines import ResultLine
from nbp_async._batch_api.result_order import ResultOrder
from nbp_async._batch_api.stray_results import StrayResults
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import RequestDelivery
from nbp_async._flow.exchange import Exchange
from nbp_async._models.outcomes import ZERO, FailedLines, Failure, Outcome
from nbp_async._pacing.poll_hints import PollHints

log = logging.getLogger("nbp_async")

FIRST_POLL, LONGEST_POLL = 30.0, 300.0  # seconds between polls of a job
_GROWTH = 1.5
POLLS_OF_THE_LIST = (0.0, 10.0, 60.0)  # seconds: a new job may not be listed at once
_MOST_UNKNOWN = 3
_FULL, _MOST_WAITS = 60.0, 600  # seconds until a job that found no room is tried again
_BY_ORDER = "joined with its prompt by its place among the results: they had no keys"

Record = Callable[[BatchItem, Outcome], Awaitable[None]]
"""Takes the outcome of each line, once the journal has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a call uses the batch API.

    Attributes:
        dialect: How the API is spoken to.
        held: Makes single images at the full price, for `failed_lines="held"`.
        wait: Wait for the results; else the call ends once its jobs are created.
        failed_lines: What becomes of lines that failed and cost nothing: they go into another job,
            are made by held calls, or stay failures.
        hints: Of jobs that have ended according to webhooks; None without webhooks.
        callback: The webhook address of a new job, or "".
    """

    dialect: BatchDialect
    held: RequestDelivery
    wait: bool = True
    failed_lines: FailedLines = "batch"
    hints: PollHints | None = None
    callback: Callable[[], str] = str


class BatchJob:
    """A job and its lines.

    Attributes:
        record: As the journal has it.
        waiting: Its lines without an outcome yet, by key.
    """

    def __init__(
        self,
        client: BatchClient,
        options: BatchOptions,
        call: CallState,
        record: JobRecord,
        waiting: dict[str, BatchItem],
        record_outcome: Record,
    ) -> None:
        assert call.past is not None, "checked when the call was made"
        self.record = record
        self.waiting = waiting
        self._keys = record.keys or tuple(waiting)
        self._client = client
        self._options = options
        self._call = call
        self._journal = call.past.journal
        self._ledger = BatchLedger(client.endpoint, call, self._journal, record)
        self._record_outcome = record_outcome
        self._taken: dict[str, int] = {}  # checksum of each line's result, by key
        price = max((item.price for item in waiting.values()), default=ZERO)
        self._strays = StrayResults(client.endpoint, record, price)
        self._order = ResultOrder(record.keys)
        self._failed: list[tuple[BatchItem, Failure]] = []
        self._problem: TaskOpenError | None = None

    @asynccontextmanager
    async def charged(self, dollars: Decimal) -> AsyncIterator[None]:
        """Wait until a period has room for it: the vendor charges it whenever it likes.

        Its dollars count from now on, unless it is not created while the body runs.

        Raises:
            BudgetError: One line alone costs more than a period may see. Nothing was sent.
            StoppedError: The call was stopped. Nothing was sent.
        """
        window = self._client.endpoint.window
        if window is None:
            yield
            return
        charge = await self._call.wait(lambda: window.reserve(dollars))
        try:
            yield
        finally:
            # "creating" counts as well: it may exist, and then it is charged.
            bought = self.record.state in ("creating", "created")
            window.settle(charge, dollars if bought else ZERO)

    async def arm(self, item: BatchItem) -> None:
        """Record that a line may be out from now on, and in which job."""
        handle = Handle("batch", self.record.name, key=item.key)
        await self._journal.arm(
            item.item, item.number, item.price, item.most, item.file_stem, handle
        )

    async def submit(self, lines: list[bytes], address: str) -> bool:
        """Upload the lines and create the job, once; False if there is none.

        `lines` is emptied once they are uploaded: it may be hours until there is room for the job.

        Raises:
            NbpError: It is unknown whether there is one. The journal says so, for `clear_up`.
        """
        record = self.record
        try:
            source = await self._client.upload(record.name, lines)
            file = source if isinstance(source, str) else ""
            if file:
                lines.clear()
            # From here on a job may exist: whoever finds "creating" in the journal looks for it in
            # the vendor's list, for a second creation would be a second bill.
            await self._write(state="creating", file=file)
            self._call.check()
        except NbpError as exc:
            await self._never(exc)
            return False
        try:
            created = await self._create(address, source)
        except NbpError as exc:
            if not in_doubt(exc):
                await self._never(exc)
                return False
            log.warning("Batch job %s may have been created: %s", record.name, exc)
            return await self.clear_up()
        await self._write(state="created", id=created.id)
        return True

    async def _create(self, address: str, source: Source) -> JobStatus:
        """Create it as soon as the vendor has room for one more."""
        callback = self._options.callback()
        for _ in range(_MOST_WAITS):
            try:
                return await self._client.create(self.record.name, address, source, callback)
            except RateLimitError as exc:
                log.info("No room for batch job %s yet: %s", self.record.name, exc)
                wait = max(_FULL, exc.retry_after or 0.0)
            await self._call.wait(lambda seconds=wait: asyncio.sleep(seconds))  # type: ignore[misc]
        return await self._client.create(self.record.name, address, source, callback)

    async def clear_up(self) -> bool:
        """Find a job that may have been created in the vendor's list, or learn that there is none.

        Raises:
            NbpError: The list cannot be read. The job stays in doubt, and is not created again.
        """
        for rest in POLLS_OF_THE_LIST:
            await asyncio.sleep(rest)
            found = await self._client.find(self.record.name)
            if found is not None:
                await self._write(state="created", id=found.id)
                return True
        await self._never(self._uncreated("it is not in the vendor's list"))
        return False

    async def follow(self) -> None:
        """Poll until the job is over, and fetch its results.

        Raises:
            StoppedError: The call was stopped. The job goes on at the vendor.
            TaskOpenError: Its results are broken, and some of them never came.
        """
        rest, unknown = FIRST_POLL, 0
        while self.waiting:
            seconds = rest * (0.75 + 0.5 * self._client.endpoint.resources.rng())
            await self._call.wait(lambda wait=seconds: self._sleep(wait))  # type: ignore[misc]
            rest = min(LONGEST_POLL, rest * _GROWTH)
            try:
                await self.bring()
            except StorageError as exc:
                self._call.stop(exc)
            except TaskOpenError:
                raise
            except NbpError as exc:
                log.warning("Batch job %s cannot be polled now: %s", self.record.name, exc)
                gone = isinstance(exc, InvalidRequestError) and exc.status in (404, 410)
                unknown = unknown + 1 if gone else 0
                if unknown >= _MOST_UNKNOWN:
                    await self._lose(f"the vendor does not know {self.record.id} any more")
                elif not (gone or may_succeed_later(exc) or isinstance(exc, QuotaError)):
                    raise

    async def _sleep(self, seconds: float) -> None:
        """Wait so long, or until a webhook says that it has ended; the poll after it decides."""
        hints = self._options.hints
        if hints is None:
            await asyncio.sleep(seconds)
        else:
            await hints.wait(self.record.id.rpartition("/")[2], seconds)

    async def bring(self) -> JobStatus:
        """Poll once; fetch what there is, if the job is over.

        Raises:
            StorageError: Its images cannot be kept here. They stay at the vendor.
            TaskOpenError: Its results are broken at the vendor, and some of them never came.
            NbpError: It cannot be polled now. What came is safe, and the rest stays at the vendor.
        """
        self._order.begin()
        try:
            status = await self._poll()
            if self._order.end():
                # Results without keys: only now is it known what they can be joined by.
                status = await self._poll()
            if status.state != "open":
                download = self._client.download
                for problem in [await download(file, self._take) for file in status.files]:
                    self._check_results(problem)
                await self._end(status)
        finally:
            await self._hand_out_failures()
        return status

    async def _poll(self) -> JobStatus:
        status, problem = await self._client.poll_results(self.record.id, self._take)
        self._check_results(problem)
        return status if problem is None else JobStatus(status.id, state="done")

    def _check_results(self, problem: NbpError | None) -> None:
        """Some results may never have come: then they stay at the vendor, and nobody polls on.

        Raises:
            TaskOpenError: That is so, because of this problem.
        """
        if problem is None:
            return
        name = self.record.name
        log.warning("The results of batch job %s are broken at the vendor: %s", name, problem)
        if self.waiting:
            why, hint = f"Its results are broken at the vendor: {problem}", self._strays.hint
            self._problem = TaskOpenError(why, task=name, hint=hint)
            raise self._problem

    def open(self, item: BatchItem, why: NbpError | None = None) -> Failure:
        """The outcome of a line that stays at the vendor when this call ends; `why`, if known."""
        failure, why = item.open(self.record.name), why or self._problem
        if why is None:
            return failure
        name = self.record.name
        error = TaskOpenError(
            f"It is in batch job {name}, whose results could not be fetched: {why}", task=name
        )
        error.__cause__ = why
        return msgspec.structs.replace(failure, error=error)

    async def cancel(self) -> None:
        """Ask the vendor to begin nothing more of it. What is rendered by now is charged."""
        await self._client.cancel(self.record.id)

    async def _take(self, line: ResultLine, exchange: Exchange) -> None:
        if self._order.is_counting(line):
            return
        key = line.key or self._order.key_at(line.position)
        item = self.waiting.get(key)
        if item is None or line.is_cut:  # what is cut off may be whole at the vendor: it stays open
            if self._is_new(key, line):
                await self._strays.keep(line, exchange, is_known=key in self._keys)
            return
        note = "" if line.key else _BY_ORDER
        outcome = await self._ledger.take(item, line, exchange, note)
        # Only now, for `take` may fail; and a repeated download must not find the line again.
        del self.waiting[key]
        self._taken[key] = line.checksum
        if isinstance(outcome, Failure):
            self._failed.append((item, outcome))
        else:
            await self._record_outcome(item, outcome)

    def _is_new(self, key: str, line: ResultLine) -> bool:
        """Nobody has its bytes: a repeated download brings the same line again."""
        if key not in self._keys or key in self.waiting:
            return True
        return not line.is_cut and self._taken.setdefault(key, line.checksum) != line.checksum

    async def _hand_out_failures(self) -> None:
        """All at once: what is to be sent again then goes into few jobs."""
        failed, self._failed = self._failed, []
        for item, failure in failed:
            await self._record_outcome(item, failure)

    async def _end(self, status: JobStatus) -> None:
        """No more results come: the lines without one have failed."""
        name, how = self.record.name, status.state

        def error() -> NbpError:
            if how in ("failed", "expired"):
                words = status.error or "it has no results"
                return TaskFailedError(
                    f"Batch job {name} {how}: {words}.",
                    task=name,
                    billing="no",
                    is_transient=how == "expired",
                )
            why = "was cancelled" if how == "cancelled" else "has no result for it"
            return TaskLostError(f"Batch job {name} {why}.", task=name, hint=self._strays.hint)

        await self._fail_rest(error)

    async def _lose(self, why: str) -> None:
        name = self.record.name
        await self._fail_rest(lambda: TaskLostError(f"Batch job {name}: {why}.", task=name))
        await self._hand_out_failures()

    async def _never(self, why: NbpError) -> None:
        """It was never created: none of its lines is paid."""
        self._call.record_error(why)
        await self._fail_rest(lambda: why, "no")
        await self._hand_out_failures()

    async def _fail_rest(
        self, error: Callable[[], NbpError], billing: Billing | None = None
    ) -> None:
        """The job is over: record the failure of each line without an outcome."""
        for key, item in list(self.waiting.items()):
            failure = await self._ledger.fail(item, error(), billing, of_job=True)
            del self.waiting[key]
            self._failed.append((item, failure))
        await self._write(state="over")

    async def free(self) -> None:
        """An earlier process ended before it was created."""
        await self._never(self._uncreated("its process ended before"))

    def _uncreated(self, why: str) -> NbpError:
        name = self.record.name
        words = f"Batch job {name} was never created: {why}."
        return TaskFailedError(words, task=name, billing="no", is_transient=True)

    async def _write(self, **changes: str) -> None:
        self.record = msgspec.structs.replace(self.record, **changes)
        text = msgspec.json.encode(self.record).decode()
        await self._journal.save_batch(self.record.name, text)


async def reopened(
    client: BatchClient, options: BatchOptions, call: CallState, record_outcome: Record
) -> list[BatchJob]:
    """The jobs of earlier calls that are not over, with their lines."""
    assert call.past is not None, "checked when the call was made"
    journal = call.past.journal
    waiting: dict[str, dict[str, BatchItem]] = {}
    for entry in await journal.unsettled():
        for pending in entry.pending:
            handle = pending.handle
            if handle is not None and handle.kind == "batch":
                item = BatchItem.found(entry, pending, handle.key)
                waiting.setdefault(handle.id, {})[handle.key] = item
    records = {name: record_from(text) for name, text in (await journal.batches()).items()}
    return [
        BatchJob(client, options, call, record, waiting[name], record_outcome)
        for name, record in records.items()
        if name in waiting and record.state != "over"
    ]
