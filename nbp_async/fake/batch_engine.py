"""Batch jobs: many requests in one job, at half price, within a day or two.

A job waits for a tenth of its time. Then its lines are rendered one after the other, evenly
spread, each with an entry in the ledger. Results come in an order of their own.

    waiting ──► running ──► finishing ──► done
       │           ├── the window is over ──► expired
       │           └── somebody cancels ──► cancelling ──► cancelled
       └── the file cannot be used ──► failed
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import msgspec

from nbp_async.fake.api_errors import ApiError, ApiStyle, moderation_error
from nbp_async.fake.bank import BankAccount, LedgerEntry
from nbp_async.fake.batch_files import FileStore, Pieces, StoredFile
from nbp_async.fake.faults import BadPayload, ErrorReply, MixedResults
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.payloads import Payload
from nbp_async.fake.render_queue import RenderQueue
from nbp_async.fake.seeded_random import digest, seeded_uniform
from nbp_async.fake.signing import OutgoingWebhook, Scheme
from nbp_async.fake.task_faults import WebhookFault
from nbp_async.fake.vendor_parts import VendorParts

JobState = Literal[
    "waiting", "running", "finishing", "done", "failed", "expired", "cancelling", "cancelled"
]
_OVER = frozenset({"done", "failed", "expired", "cancelled"})
_STARTS_AT = 0.1  # of a job's time


@dataclass(frozen=True, kw_only=True)
class BatchRules:
    """How a vendor runs jobs.

    Attributes:
        window: Simulated seconds until a job expires.
        rendered_at: The share of a job's time at which its last line is rendered.
        cancel_takes: Simulated seconds from "cancelling" to "cancelled"; 0 for at once.
        keeps_partial: A job that expires or is cancelled has the results rendered by then.
            Without it they are lost, and a job that is going to expire is not rendered at all.
    """

    window: float
    rendered_at: float
    cancel_takes: float
    keeps_partial: bool


class BatchLine:
    """One request of a job, and what came of it.

    Attributes:
        key: The user's name for it, or all that the user notes about it.
        spec: What is rendered; None if the line was refused.
        fault: What is wrong with its result.
        refused: Why it failed.
        entry: Its entry in the ledger, once it is rendered.
        size: Bytes of its result, once they are counted.
        is_broken: Its result ends in the middle.
    """

    __slots__ = ("entry", "fault", "is_broken", "key", "refused", "size", "spec")

    def __init__(
        self,
        key: object,
        spec: ImageSpec | None = None,
        fault: BadPayload | None = None,
        refused: ApiError | None = None,
    ) -> None:
        self.key = key
        self.spec = spec
        self.fault = fault
        self.refused = refused
        self.entry: LedgerEntry | None = None
        self.size = 0
        self.is_broken = False


class FakeJob:
    """A job of one account.

    Attributes:
        source: The file of its requests; None for requests that came inline.
        target: The model or endpoint that its lines are for.
        name: The user's name for it.
        errors: What is wrong with its file, as the vendor writes it; such a job fails.
        times: When it came to each state, in seconds since 1970.
        results: The file of its images.
        problems: The file of its errors, at a vendor that keeps them apart.
        failure: Why it failed.
        mixed: How its results are mixed up.
        callback: Where its webhook goes, or "".
        note: What the vendor gives back untouched.
    """

    def __init__(self, account: BankAccount, source: StoredFile | None, target: str) -> None:
        self.id = ""
        self.account = account
        self.source = source
        self.target = target
        self.name = ""
        self.lines: list[BatchLine] = []
        self.errors: list[dict[str, object]] = []
        self.state: JobState = "waiting"
        self.times: dict[JobState, float] = {}
        self.results: StoredFile | None = None
        self.problems: StoredFile | None = None
        self.failure = ""
        self.mixed: MixedResults | None = None
        self.callback = ""
        self.note: object = None
        self.queue: RenderQueue[BatchLine] | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_over(self) -> bool:
        return self.state in _OVER

    @property
    def created(self) -> float:
        """Seconds since 1970."""
        return self.times["waiting"]

    @property
    def rendered(self) -> int:
        """How many lines have an image."""
        return sum(line.entry is not None for line in self.lines)

    @property
    def refused(self) -> int:
        """How many lines failed; a vendor counts them when the job is over."""
        return sum(line.refused is not None for line in self.lines) if self.is_over else 0


class BatchVendor(Protocol):
    """How one vendor writes what the engine does.

    Attributes:
        style: How it writes errors.
        rules: How it runs jobs.
        signs: How it signs its webhooks.
        label: What its random draws are made from, so that two vendors draw apart.
    """

    style: ApiStyle
    rules: BatchRules
    signs: Scheme
    label: str

    def id_of(self, digest: str) -> str:
        """A job's id, made from 24 hexadecimal digits."""
        ...

    def result_line(self, job: FakeJob, line: BatchLine) -> Pieces:
        """A line of the results."""
        ...

    def publish(self, job: FakeJob, state: JobState) -> JobState:
        """Make the result files of a job that ends; returns the state in which it ends."""
        ...

    def webhooks(self, job: FakeJob) -> list[OutgoingWebhook]:
        """What the vendor sends when a job is over."""
        ...


class BatchEngine:
    """Runs the jobs of one vendor."""

    def __init__(self, parts: VendorParts, vendor: BatchVendor, files: FileStore) -> None:
        self._parts = parts
        self._vendor = vendor
        self._files = files
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, FakeJob] = {}
        self._count = 0

    def read_line(self, key: object, decode: Callable[[], ImageSpec]) -> BatchLine:
        """A line of a job. What is refused is a result of its own, and costs nothing."""
        try:
            spec = decode()
        except ApiError as exc:
            return BatchLine(key, refused=exc)
        fault = self._parts.script.take_matching(spec.prompt) or self._parts.renderer.draw_fault(
            spec
        )
        if isinstance(fault, ErrorReply):
            return BatchLine(key, refused=ApiError(fault.code, "The request failed."))
        damage = fault if isinstance(fault, BadPayload) else None
        if damage is not None and damage.what == "blocked" and self._vendor.style == "openai":
            return BatchLine(key, refused=moderation_error())
        return BatchLine(key, spec, damage)

    def start(self, job: FakeJob) -> None:
        """Give a job its id, and set the times of its states."""
        self._count += 1
        settings, rules, now = self._parts.settings, self._vendor.rules, self._loop.time()
        seed = (settings.seed, self._vendor.label, self._count)
        job.id = self._vendor.id_of(digest(*seed).hex()[:24])
        self._jobs[job.id] = job
        self._parts.responder.pending_charges.begin()
        self._enter(job, "waiting")
        length = settings.batch_latency.seconds(seeded_uniform(*seed), "1K") / settings.speed
        window = rules.window / settings.speed
        expires = length > window
        if expires and not rules.keeps_partial:
            length = window
        starts, rendered = now + length * _STARTS_AT, now + length * rules.rendered_at
        if job.errors:
            self._schedule(job, [(starts, "failed")])
            return
        if rules.keeps_partial or not expires:
            lines = [line for line in job.lines if line.refused is None]
            job.queue = RenderQueue(lines, starts, rendered, partial(self._render, job))
        steps: list[tuple[float, JobState]] = [(starts, "running")]
        if expires:
            steps.append((now + window, "expired"))
        else:
            steps += [(rendered, "finishing"), (now + length, "done")]
        self._schedule(job, sorted(steps, key=lambda step: step[0]))

    def find(self, name: str, account: BankAccount) -> FakeJob | None:
        """The job of this id, if this account has it."""
        job = self._jobs.get(name)
        return job if job is not None and job.account is account else None

    def of(self, account: BankAccount) -> list[FakeJob]:
        """All jobs of an account, newest first."""
        return [job for job in self._jobs.values() if job.account is account][::-1]

    def cancel(self, job: FakeJob) -> None:
        """Stop what is not rendered yet. What is rendered has been billed."""
        if job.is_over or job.state == "cancelling":
            return
        takes = self._vendor.rules.cancel_takes
        if not takes:
            self._end(job, "cancelled")
            return
        self._stop(job)
        self._enter(job, "cancelling")
        at = self._loop.time() + takes / self._parts.settings.speed
        self._schedule(job, [(at, "cancelled")])

    def delete(self, job: FakeJob) -> None:
        """Stop a job and forget it."""
        self.cancel(job)
        self._jobs.pop(job.id, None)

    def shut_down(self) -> None:
        """Stop all work: the vendor goes down."""
        for job in self._jobs.values():
            if not job.is_over:
                self._end(job, "cancelled")
        self._files.close()

    def mark_delivered(self, job: FakeJob, *, delivered: bool) -> None:
        """Note in the ledger whether the client got the results."""
        for line in job.lines:
            if line.entry is not None and not line.entry.delivered:
                self._parts.bank.settle(line.entry, delivered=delivered)

    def shuffled(self, job: FakeJob) -> list[BatchLine]:
        """The lines in the order of the results, mixed up if a fault says so."""
        lines, mixed = list(job.lines), job.mixed
        if mixed is not None and mixed.keyless:
            return [_keyless(line) for line in lines[mixed.missing :]]
        random.Random(f"{self._parts.settings.seed} {job.id}").shuffle(lines)
        if mixed is None:
            return lines
        unknown = ApiError(500, "No request has this key.")
        strange = [BatchLine(f"nobody-{n}", refused=unknown) for n in range(mixed.unknown)]
        kept = lines[mixed.missing :]
        for line in kept[::-1][: mixed.broken]:
            line.is_broken, line.size = True, 0
        changed = [_with_another_image(line) for line in kept[: mixed.changed]]
        return [*kept, *strange, *kept[: mixed.twice], *changed]

    def size_of(self, job: FakeJob, lines: Sequence[BatchLine]) -> int:
        """Bytes of these lines in a file."""
        return sum(line.size or self._measure(job, line) for line in lines)

    def keep_results(
        self, job: FakeJob, lines: Sequence[BatchLine], name: str, kind: str
    ) -> StoredFile | None:
        """A new file of these lines; None if there are none."""
        if not lines:
            return None

        def content() -> Iterator[Pieces]:
            return (self._vendor.result_line(job, line) for line in lines)

        size = self.size_of(job, lines)
        return self._files.keep_results(job.account.key, size, content, name, kind)

    def payload(self, job: FakeJob, line: BatchLine) -> Payload:
        """The answer to a line that was rendered."""
        assert line.spec is not None
        return self._parts.renderer.payload(line.spec, job.id, line.fault, created=int(job.created))

    def _measure(self, job: FakeJob, line: BatchLine) -> int:
        return sum(map(len, self._vendor.result_line(job, line)))

    def _render(self, job: FakeJob, line: BatchLine) -> None:
        """One image is there: half its price goes into the ledger."""
        spec = line.spec
        assert spec is not None
        images, tokens = self._parts.renderer.count(spec, line.fault)
        line.entry = self._parts.bank.charge(
            job.id, job.account, spec, images, tokens, self._loop.time(), "batch"
        )
        if job.source is not None:
            # The size is counted line by line: to draw all images at the end would stop the loop.
            line.size = self._measure(job, line)

    def _enter(self, job: FakeJob, state: JobState) -> None:
        job.state = state
        job.times[state] = self._parts.settings.clock()

    def _schedule(self, job: FakeJob, steps: Sequence[tuple[float, JobState]]) -> None:
        """Enter these states at these times.

        One timer at a time: asyncio calls two timers of the same moment in any order.
        """
        at, state = steps[0]
        job.timer = self._loop.call_at(at, self._step, job, state, steps[1:])

    def _step(self, job: FakeJob, state: JobState, rest: Sequence[tuple[float, JobState]]) -> None:
        if state in _OVER:
            self._end(job, state)
        else:
            self._enter(job, state)
            self._schedule(job, rest)

    def _stop(self, job: FakeJob) -> None:
        if job.timer is not None:
            job.timer.cancel()
        if job.queue is not None:
            job.queue.stop()

    def _end(self, job: FakeJob, state: JobState) -> None:
        self._stop(job)
        if state == "done" and job.queue is not None:
            job.queue.finish()
        state = self._vendor.publish(job, state)
        if job.results is not None:
            job.results.on_delivered = partial(self.mark_delivered, job, delivered=True)
        if state != "done" and not self._vendor.rules.keeps_partial:
            self.mark_delivered(job, delivered=False)
        self._enter(job, state)
        self._parts.responder.pending_charges.end()
        for webhook in self._vendor.webhooks(job):
            self._parts.webhooks.send([webhook], self._vendor.signs, WebhookFault(), lambda: None)


def _keyless(line: BatchLine) -> BatchLine:
    return BatchLine(None, line.spec, line.fault, line.refused)


def _with_another_image(line: BatchLine) -> BatchLine:
    assert line.spec is not None, "it was rendered"
    spec = msgspec.structs.replace(line.spec, prompt=f"{line.spec.prompt}, once more")
    return BatchLine(line.key, spec, line.fault)
