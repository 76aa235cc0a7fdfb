"""What a comparison leaves behind: `run.json`, `requests.jsonl` and `summary.csv`.

All times are simulated seconds from the moment a trial began, whichever clock was used: on the
scaled clock they are real seconds times the scale. CPU is real time of this machine, always.
Prompts and the words of errors come from outside: who shows them must escape them.
"""

from typing import Literal

import msgspec

SCHEMA = "nbp-bench/1"
Clock = Literal["scaled", "virtual"]


class Interval(msgspec.Struct, frozen=True):
    """A figure over the repetitions: its mean, and the bootstrap's 95 % interval around it.

    With one repetition, or on the virtual clock, `low` and `high` are the figure itself.
    """

    mid: float
    low: float
    high: float


class Spread(msgspec.Struct, frozen=True):
    """Percentiles of a time over all calls, in simulated seconds."""

    p50: float
    p95: float
    p99: float
    max: float


class Bound(msgspec.Struct, frozen=True):
    """The shortest time in which anybody could do this work.

    Attributes:
        seconds: max(sum of holds / slots, longest hold, rate, bytes / bandwidth).
        binds: Which of them it is: "slots", "longest", "rate" or "bytes".
        in_order: The shortest for a client that takes the jobs in their order and cannot know how
            long each will take; never below `seconds`.
    """

    seconds: float
    binds: Literal["slots", "longest", "rate", "bytes"]
    in_order: float


class Money(msgspec.Struct, frozen=True):
    """US dollars, as the fake bank has them.

    Attributes:
        billed: All of it: delivered + maybe + twice + lost.
        delivered: Paid for images that the client has, one for each job.
        maybe: Billed, no image, and the client says that it was billed, or may have been.
        twice: Paid for further images of a job that has one or was named.
        lost: Billed, no image, and the client does not report it.
    """

    billed: float
    delivered: float
    maybe: float
    twice: float
    lost: float


class Usage(msgspec.Struct, frozen=True):
    """What the client's processes used, children included; None where the clock cannot measure it.

    Attributes:
        cpu_ms_per_image: Milliseconds of real CPU for each image that came.
        memory_bytes: PSS at its peak over that of the fresh interpreter with its imports.
        memory_per_call: The same by the most calls that the server saw at once, or open tasks.
        threads: The most at once.
        processes: The most at once.
        descriptors: The most open files and sockets at once.
        connections: That the server accepted.
        peak_connections: The most of them at once.
    """

    cpu_ms_per_image: float | None
    memory_bytes: int | None
    memory_per_call: float | None
    threads: int | None
    processes: int | None
    descriptors: int | None
    connections: int
    peak_connections: int


class InFlight(msgspec.Struct, frozen=True):
    """How many calls were out, mean over the makespan and at the most.

    Attributes:
        client: Mean by the client's own times (calls that have begun and not ended).
        server: Mean by the server, which saw connections carry a request.
        expected: What Little's law says: images a second, by the client, times the mean hold that
            the seed gave these jobs.
        client_peak: By the client's own times.
        server_peak: By the server's count.
        witness: [[second, calls that the server had], ...], sampled; for a picture.
    """

    client: float
    server: float
    expected: float
    client_peak: int
    server_peak: int
    witness: list[tuple[float, int]] = []


class Check(msgspec.Struct, frozen=True):
    """One condition that a trial, or the whole run, was held to."""

    name: str
    ok: bool
    words: str


class Trial(msgspec.Struct, frozen=True):
    """One repetition of one strategy, in a fresh process.

    Attributes:
        row: The `Row.id` it belongs to.
        rep: From 0.
        makespan: Simulated seconds from the first call to the last image.
        images: That the client has.
        failed: Jobs without one.
        queue: From the start of the trial until a job's call began.
        service: From there until it ended.
        total: Both.
        goodput: Images within the scenario's deadline, per simulated minute.
        server_cpu: Share of one core that the server used, 0 to 1; None on the virtual clock.
        checks: What makes it valid; one that is not ok makes the trial invalid.
        notes: What is worth knowing and makes nothing invalid.
    """

    row: str
    rep: int
    makespan: float
    images: int
    failed: int
    queue: Spread
    service: Spread
    total: Spread
    in_flight: InFlight
    usage: Usage
    money: Money
    goodput: float
    server_cpu: float | None
    checks: list[Check]
    notes: list[str] = []

    @property
    def valid(self) -> bool:
        """Every check holds."""
        return all(check.ok for check in self.checks)


class Row(msgspec.Struct, frozen=True):
    """One strategy in one scenario: what a table has a line for.

    Attributes:
        id: "scenario/strategy x in flight/clock"; requests and trials name it.
        scenario: `Scenario.name`.
        strategy: `Strategy` by its name, as the table of `Run.strategies` has it.
        at_once: Calls that it may have in flight.
        clock: Which clock.
        jobs: How many images were asked for.
        bound: What is possible.
        reps: How many trials it has, and how many of them are `valid`.
        makespan: Simulated seconds.
        of_bound: `bound.seconds` / makespan, times the share of images that came: 1.0 is all that
            is possible. Only a failed image that took no time can bring it above.
        of_order: The same of `bound.in_order`.
        images_per_minute: Of simulated time.
        failed: Jobs without an image, over all trials.
        service, queue, total: Over all calls of all trials.
        cpu_ms_per_image, memory_bytes, memory_per_call: None on the virtual clock.
        money: Summed over all trials.
        goodput: Images within the deadline, per simulated minute.
    """

    id: str
    scenario: str
    strategy: str
    at_once: int
    clock: Clock
    jobs: int
    bound: Bound
    reps: int
    valid: int
    makespan: Interval
    of_bound: Interval
    of_order: Interval
    images_per_minute: Interval
    failed: int
    queue: Spread
    service: Spread
    total: Spread
    cpu_ms_per_image: Interval | None
    memory_bytes: Interval | None
    memory_per_call: Interval | None
    money: Money
    goodput: Interval

    @property
    def money_each(self) -> Money:
        """The same for one trial, on average."""
        return Money(*(amount / self.reps for amount in msgspec.structs.astuple(self.money)))

    @property
    def failed_each(self) -> float:
        return self.failed / self.reps


class Verdict(msgspec.Struct, frozen=True):
    """Two rows of one scenario and clock, compared by one figure.

    Attributes:
        better: `Row.id` of the row with the lower mean.
        worse: `Row.id` of the other.
        figure: "makespan" or "cpu_ms_per_image".
        ratio: worse / better of the means, with its interval.
        significant: The interval leaves out 1; else "no significant difference".
        words: The verdict in a sentence.
    """

    better: str
    worse: str
    figure: str
    ratio: Interval
    significant: bool
    words: str


class ArticleRow(msgspec.Struct, frozen=True):
    """A figure of the article beside what was measured here.

    Attributes:
        way: The strategy, as the article calls it.
        article: Seconds in the article.
        theory: Seconds that follow from 10 images of 120 s and so many at once.
        measured: Simulated seconds here, or None if its row was not run.
        reason: Why article and theory differ, in words.
        row: `Row.id` it was measured by, or "".
    """

    way: str
    article: float
    theory: float
    measured: float | None
    reason: str
    row: str


class Strategy(msgspec.Struct, frozen=True):
    """A strategy for making images concurrently.

    Attributes:
        name: As in `Row.strategy`.
        words: What it is, in a line.
        trap: People really write it, and it loses something.
        is_async: It can run on the virtual clock.
        source: Its file in the repository.
    """

    name: str
    words: str
    trap: bool
    is_async: bool
    source: str


class Scenario(msgspec.Struct, frozen=True):
    """What was asked of every strategy. Latencies and faults follow from (seed, job number).

    Attributes:
        name: Its name on the command line.
        words: The question it answers.
        jobs: Images; None for `waves` times what is in flight.
        waves: Images by calls in flight, where `jobs` is None.
        latency: Of an image in simulated seconds, as the fake server reads it.
        size: "1K", "2K" or "4K".
        weight: Bytes of an image, or "real"; None for a small one.
        delivery: "b64_json" or "url".
        faults: By probability, as the fake server reads them.
        per_minute: Requests that the server takes in a minute; None for any number.
        kill: Simulated second at which the client is killed, and started again with the same work;
            the clock stands still while it starts. None for never.
        bandwidth: Bytes a second that each connection carries to the client; None for any number.
        deadline: Simulated seconds by which an image is good for something; for goodput.
        scale: How many times faster than simulated time the scaled clock went.
        reps: At most so many repetitions, where one takes long; None for as many as asked for.
    """

    name: str
    words: str
    latency: str
    jobs: int | None = None
    waves: int = 1
    size: str = "1K"
    weight: int | str | None = None
    delivery: Literal["b64_json", "url"] = "b64_json"
    faults: str = ""
    per_minute: int | None = None
    kill: float | None = None
    bandwidth: float | None = None
    deadline: float = 600.0
    scale: float = 50.0
    reps: int | None = None


class Environment(msgspec.Struct, frozen=True):
    """The machine and the program, as they were."""

    commit: str
    dirty: bool
    python: str
    implementation: str
    platform: str
    cpu: str
    cores: int
    affinity: int
    memory_bytes: int
    open_files: int
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float]
    clock_source: str
    packages: dict[str, str]


class Run(msgspec.Struct, frozen=True):
    """All of `run.json`.

    Attributes:
        schema: `SCHEMA`.
        name: Of the folder.
        command: That makes it again.
        seed: Of latencies, faults, order and bootstrap.
        started: UTC, ISO 8601.
        seconds: Real seconds that the whole run took.
        checks: Over the whole run.
    """

    schema: str
    name: str
    command: str
    seed: int
    started: str
    seconds: float
    environment: Environment
    strategies: list[Strategy]
    scenarios: list[Scenario]
    rows: list[Row]
    trials: list[Trial]
    verdicts: list[Verdict]
    article: list[ArticleRow]
    checks: list[Check]

    def row(self, name: str) -> Row:
        """The row of this id; KeyError if there is none."""
        return {row.id: row for row in self.rows}[name]


class Request(msgspec.Struct, frozen=True):
    """A line of `requests.jsonl`: one call, or one attempt if the client reports attempts.

    Attributes:
        row: `Row.id`.
        rep: The trial's.
        job: From 0.
        attempt: From 1; clients that hide their attempts have only the first.
        slot: Row of a Gantt chart, from 0: the lowest that was free when it began.
        start: Simulated seconds from the trial's start.
        end: The same. What was before `start` is queueing: every job is asked for at 0.
        outcome: "image", "failed", or "again" for an attempt that was followed by another.
        error: Class and first line of what went wrong, or "". Untrusted.
        size: Bytes of the image, or 0.
        billed: Images that the bank billed for this job, in all of its attempts; on its last line.
    """

    row: str
    rep: int
    job: int
    attempt: int
    slot: int
    start: float
    end: float
    outcome: Literal["image", "failed", "again"]
    error: str = ""
    size: int = 0
    billed: int = 0
