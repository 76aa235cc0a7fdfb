"""The figures of a trial, from the records of the client and of the server. No I/O."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.records import Check, InFlight, Money, Request, Scenario, Spread, Trial, Usage
from bench.strategies.base import CallRecord, Job
from nbp_async.display.lanes import counts_over_time, lanes_of
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.counters import Stats

AGREE = 0.02  # how far the two counts of calls in flight may be apart
SERVER_CPU = 0.7  # of a core, above which the server may be what was measured
MINUTE = 60.0


@dataclass(frozen=True)
class TrialFacts:
    """What is known of a trial once it is over. Times in simulated seconds.

    Attributes:
        row: Id of its row.
        rep: From 0.
        jobs: What was asked.
        records: What the client did, from its start on.
        stats: What the server counted.
        made: Images that the bank billed, by `prompt_digest`.
        expected: Seconds of all holds, as the seed has them.
        carried: Seconds that connections carried a request, by the server.
        witness: [(second, calls at the server), ...].
        usage: What the client's processes used.
        server_cpu: Share of a core, or None.
        holds: The strategy holds a connection while an image is made.
    """

    row: str
    rep: int
    jobs: Sequence[Job]
    records: Sequence[CallRecord]
    stats: Stats
    made: Mapping[str, int]
    expected: float
    connection_seconds: float
    witness: list[tuple[float, int]]
    usage: Usage
    server_cpu: float | None
    holds: bool


def trial_of(found: TrialFacts, scenario: Scenario) -> Trial:
    """The figures of a trial."""
    last = {one.job: one for one in found.records if not one.retried}
    first = {one.job: one.began for one in sorted(found.records, key=lambda t: -t.attempt)}
    images = [one for one in last.values() if one.size]
    makespan = max((one.ended for one in found.records), default=0.0)
    in_flight = _in_flight(found, makespan)
    in_time = sum(one.ended <= scenario.deadline for one in images)
    money = money_of(found)
    return Trial(
        row=found.row,
        rep=found.rep,
        makespan=makespan,
        images=len(images),
        failed=len(found.jobs) - len(images),
        queue=spread([first[job] for job in last]),
        service=spread([one.ended - first[job] for job, one in last.items()]),
        total=spread([one.ended for one in last.values()]),
        in_flight=in_flight,
        usage=found.usage,
        money=money,
        goodput=in_time / makespan * MINUTE if makespan else 0.0,
        server_cpu=found.server_cpu,
        checks=list(_checks(found, in_flight, money)),
        notes=list(_notes(found, in_flight)),
    )


def spread(values: Sequence[float]) -> Spread:
    """Percentiles by the nearest rank."""
    ordered = sorted(values) or [0.0]

    def at(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4)

    return Spread(at(0.5), at(0.95), at(0.99), at(1.0))


def money_of(found: TrialFacts) -> Money:
    """The bank's dollars, by what became of them."""
    price = float(found.stats.dollars) / found.stats.images if found.stats.images else 0.0
    last = {one.job: one for one in found.records if not one.retried}
    names = {one.job for one in found.records if one.maybe}
    delivered = maybe = twice = lost = 0
    for job in found.jobs:
        made, one = found.made.get(prompt_digest(job.prompt), 0), last.get(job.number)
        if one is not None and one.size:
            delivered += min(1, made)
            extra = made - 1
        elif made and job.number in names:
            maybe += min(1, made)
            extra = made - 1
        else:
            lost += made
            extra = 0
        twice += max(0, extra)

    def dollars(images: int) -> float:
        return round(images * price, 4)

    return Money(
        dollars(found.stats.images),
        dollars(delivered),
        dollars(maybe),
        dollars(twice),
        dollars(lost),
    )


def _in_flight(found: TrialFacts, makespan: float) -> InFlight:
    span = makespan or 1.0
    return InFlight(
        client=sum(one.ended - one.began for one in found.records) / span,
        server=found.connection_seconds / span,
        expected=found.expected / span,
        client_peak=peak([(one.began, one.ended) for one in found.records]),
        server_peak=found.stats.peak_in_flight,
        witness=[(round(second, 3), count) for second, count in found.witness],
    )


def peak(spans: Sequence[tuple[float, float]]) -> int:
    """The most of these spans at one time."""
    return int(max(count for _, count in counts_over_time(spans)))


def _checks(found: TrialFacts, flight: InFlight, money: Money) -> list[Check]:
    last = [one.job for one in found.records if not one.retried]
    complete = sorted(last) == [job.number for job in found.jobs]
    images = {one.job for one in found.records if one.size and not one.retried}
    paid = {job.number for job in found.jobs if found.made.get(prompt_digest(job.prompt), 0) > 0}
    sums = money.delivered + money.maybe + money.twice + money.lost
    checks = [
        Check("complete", complete, f"{len(last)} of {len(found.jobs)} jobs came to an end"),
        Check(
            "ledger",
            images <= paid and math.isclose(sums, money.billed, abs_tol=0.01),
            f"the bank billed ${money.billed:.2f}, the client's images explain ${sums:.2f}",
        ),
    ]
    if found.holds:
        checks.append(_little(flight))
    return checks


def _little(flight: InFlight) -> Check:
    """L = λW: what the server saw in flight is what the seed, or the client's times, ask for."""
    by_seed, by_client = (
        _apart(flight.server, flight.expected),
        _apart(flight.server, flight.client),
    )
    words = (
        f"on average {flight.server:.2f} calls in flight by the server; images a second times "
        f"the mean hold is {flight.expected:.2f}, and the client counted {flight.client:.2f}"
    )
    return Check("witness", min(by_seed, by_client) <= AGREE, words)


def _apart(one: float, other: float) -> float:
    return abs(one - other) / max(one, other, 0.01)


def _notes(found: TrialFacts, flight: InFlight) -> list[str]:
    notes = []
    if found.server_cpu is not None and found.server_cpu > SERVER_CPU:
        notes.append(
            f"the server used {found.server_cpu:.0%} of a core: it may be what is measured"
        )
    if found.holds and flight.client > flight.server * (1 + AGREE):
        notes.append(
            f"the client counted {flight.client:.1f} calls in flight, the server "
            f"{flight.server:.1f}: the others waited inside the client, or to connect"
        )
    return notes


def requests_of(found: TrialFacts) -> list[Request]:
    """A line for each attempt, by the time it began, in the lowest slot that was free."""
    ends = {one.job: one for one in found.records if not one.retried}
    paid = {job.number: found.made.get(prompt_digest(job.prompt), 0) for job in found.jobs}
    in_order = sorted(found.records, key=lambda records: (records.began, records.job))
    slots = lanes_of((one.began, one.ended) for one in in_order)
    lines = []
    for slot, one in zip(slots, in_order, strict=True):
        lines.append(
            Request(
                found.row,
                found.rep,
                one.job,
                one.attempt,
                slot,
                round(one.began, 3),
                round(one.ended, 3),
                "again" if one.retried else "image" if one.size else "failed",
                one.error,
                one.size,
                paid.get(one.job, 0) if ends.get(one.job) is one else 0,
            )
        )
    return lines
