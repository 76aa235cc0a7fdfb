"""A run that nobody made, with everything in it that a report has to show."""

import random

from bench import records as r

EVIL = '<script>alert("1")</script>'
WAYS = {"sequential": 1, "threads": 5, "processes": 10, "nbp": 10}


def interval(mid: float) -> r.Interval:
    return r.Interval(mid, mid * 0.97, mid * 1.04)


def spread(mid: float) -> r.Spread:
    return r.Spread(mid, mid * 1.2, mid * 1.3, mid * 1.4)


def row(
    scenario: str, strategy: str, at_once: int, jobs: int, clock: r.Clock, span: float
) -> r.Row:
    bound = r.Bound(jobs * 100.0 / at_once, "slots", jobs * 101.0 / at_once)
    real = clock == "scaled"
    lost = 0.24 if strategy == "threads" else 0.0
    return r.Row(
        id=f"{scenario}/{strategy} x {at_once}/{clock}",
        scenario=scenario,
        strategy=strategy,
        at_once=at_once,
        clock=clock,
        jobs=jobs,
        bound=bound,
        reps=2,
        valid=2,
        makespan=interval(span),
        of_bound=interval(bound.seconds / span),
        of_order=interval(bound.in_order / span),
        images_per_minute=interval(jobs / span * 60),
        failed=int(lost > 0),
        queue=spread(1.0),
        service=spread(100.0),
        total=spread(101.0),
        cpu_ms_per_image=interval(1.5 * len(strategy)) if real else None,
        memory_bytes=interval(1e6) if real else None,
        memory_per_call=interval(2e5 * len(strategy)) if real else None,
        money=r.Money(jobs * 0.24, jobs * 0.24 - lost, 0.0, 0.0, lost),
        goodput=interval(3.0),
    )


def trial(of: r.Row, rep: int) -> r.Trial:
    usage = r.Usage(1.0, 10, 1.0, 1, 1, 9, 10, 10)
    flight = r.InFlight(
        of.at_once * 0.9, of.at_once * 0.9, of.at_once * 0.9, of.at_once, of.at_once
    )
    checks = [r.Check("witness", rep == 0 or of.strategy != "threads", "client and server agree")]
    return r.Trial(
        of.id,
        rep,
        of.makespan.mid,
        of.jobs,
        0,
        of.queue,
        of.service,
        of.total,
        flight,
        usage,
        of.money,
        3.0,
        0.2,
        checks,
    )


def requests(of: r.Row, rep: int) -> list[r.Request]:
    rng, free, made = random.Random(rep), [0.0] * of.at_once, []
    for job in range(of.jobs):
        slot = min(range(of.at_once), key=free.__getitem__)
        start, end = free[slot], free[slot] + rng.uniform(90, 110)
        failed = of.strategy == "threads" and job == 0
        error = f"Boom: {EVIL}" if failed else ""
        outcome = "failed" if failed else "image"
        made.append(r.Request(of.id, rep, job, 1, slot, start, end, outcome, error))  # type: ignore[arg-type]
        free[slot] = end
    return made


def environment() -> r.Environment:
    return r.Environment(
        "abc",
        True,
        "3.11",
        "CPython",
        "Linux",
        f"a CPU {EVIL}",
        2,
        2,
        10**9,
        1024,
        (0.1, 0.1, 0.1),
        (0.1, 0.1, 0.1),
        "monotonic",
        {"aiohttp": "3"},
    )


def made() -> tuple[r.Run, list[r.Request]]:
    rows = [row("article", name, n, 10, "scaled", 1010.0 / n + 3) for name, n in WAYS.items()]
    rows += [
        row("latency", name, n, n * 3, "scaled", 310.0 * slow)
        for name, slow in (("threads", 1.4), ("nbp", 1.01))
        for n in (1, 10, 100)
    ]
    rows += [row("latency", "nbp", 100, 300, "virtual", 303.0)]
    asked = [each for of in rows for rep in (0, 1) for each in requests(of, rep)]
    verdict = r.Verdict(
        rows[9].id,
        rows[6].id,
        "makespan",
        r.Interval(1.02, 0.98, 1.05),
        False,
        "threads and nbp with 100 in flight: no significant difference.",
    )
    run = r.Run(
        r.SCHEMA,
        "made",
        "python -m bench compare --seed 7",
        7,
        "2026-01-02T03:04:05Z",
        9.0,
        environment(),
        [r.Strategy(name, f"{name} {EVIL}", False, name == "nbp", "x.py") for name in WAYS],
        [r.Scenario("article", f"Ten images {EVIL}.", "120"), r.Scenario("latency", "How", "90")],
        rows,
        [trial(of, rep) for of in rows for rep in (0, 1)],
        [verdict],
        [r.ArticleRow("5 threads", 250, 240, 241.5, "two waves | and overhead", rows[1].id)],
        [
            r.Check("seed", True, f"same work {EVIL}"),
            r.Check("load", False, "the machine was busy"),
        ],
    )
    return run, asked
