"""The scenarios, each a question, and which strategies answer it at which size."""

from dataclasses import dataclass
from itertools import product

from bench.records import Clock, Scenario
from bench.strategies import STRATEGIES
from bench.trial_runner import RowPlan

ARTICLE = ("sequential:1", "threads:5", "threads:10", "processes:10", "asyncio:10", "nbp:10")


@dataclass(frozen=True)
class ScenarioPlan:
    """A scenario with the rows it has by default, as "strategy:at_once" on each clock."""

    scenario: Scenario
    scaled: tuple[str, ...] = ()
    virtual: tuple[str, ...] = ()


def _sizes(names: tuple[str, ...], *sizes: int) -> tuple[str, ...]:
    return tuple(f"{name}:{size}" for size, name in product(sizes, names))


_ALL = (
    ScenarioPlan(
        Scenario("article", "Ten 4K images of 120 s, as in the article", "120", jobs=10, size="4K"),
        scaled=ARTICLE,
        virtual=("asyncio:10", "nbp:10", "nbp_poll:10", "nbp_batch:10"),
    ),
    ScenarioPlan(
        Scenario(
            "spread",
            "Images of 30 to 170 s, three for each place in flight",
            "30-170",
            waves=3,
            scale=20.0,
        ),
        scaled=(
            "sequential:1",
            "processes:10",
            *_sizes(("threads",), 10, 100, 300, 1000),
            "threads_httpx:100",
            *_sizes(("asyncio", "nbp"), 1, 10, 100, 300, 1000),
            *_sizes(("openai", "genai"), 100, 1000),
        ),
        virtual=_sizes(("asyncio", "nbp"), 1, 10, 100, 300, 1000),
    ),
    ScenarioPlan(
        Scenario(
            "held",
            "All held at once, 100 s each: who can, and what is lost",
            "100",
            deadline=120.0,
            scale=5.0,
            reps=3,
        ),
        scaled=(
            *_sizes(("asyncio", "nbp"), 1000, 5000, 10_000),
            *_sizes(("threads", "openai", "genai"), 1000),
            *_sizes(("genai", "trap_openai"), 5000),
        ),
        virtual=_sizes(("asyncio", "nbp", "trap_defaults"), 300, 1000),
    ),
    ScenarioPlan(
        Scenario(
            "true",
            "At true latency: no clock goes faster than real time",
            "30-170",
            scale=1.0,
            reps=1,
        ),
        scaled=("nbp:300", *_sizes(("threads", "asyncio", "nbp"), 1000)),
    ),
    ScenarioPlan(
        Scenario(
            "base64",
            "4K images of 6 MB inside the answer",
            "100-170",
            waves=2,
            size="4K",
            weight="real",
            scale=10.0,
        ),
        scaled=("processes:10", *_sizes(("threads", "asyncio", "nbp", "openai", "genai"), 32)),
    ),
    ScenarioPlan(
        Scenario(
            "limited",
            "A server that takes 60 requests a minute",
            "30-170",
            jobs=180,
            per_minute=60,
            deadline=600.0,
            scale=20.0,
        ),
        scaled=_sizes(("threads", "asyncio", "nbp", "trap_gather"), 100),
        virtual=_sizes(("asyncio", "nbp", "trap_gather"), 100),
    ),
    ScenarioPlan(
        Scenario(
            "faults",
            "One request in seven goes wrong: 503, resets, cut and broken answers",
            "30-170",
            jobs=200,
            faults="503=0.08,reset=0.03,cut=0.02,truncated=0.02",
            scale=20.0,
        ),
        scaled=_sizes(
            ("threads", "asyncio", "nbp", "openai", "trap_gather", "trap_openai", "trap_genai"), 50
        ),
        virtual=_sizes(("asyncio", "nbp", "trap_gather", "trap_openai", "trap_genai"), 50),
    ),
    ScenarioPlan(
        Scenario(
            "killed",
            "A client that is killed at its 200th second, and started again",
            "30-170",
            jobs=200,
            kill=200.0,
            scale=20.0,
        ),
        scaled=("processes:10", *_sizes(("threads", "asyncio", "nbp", "nbp_poll"), 50)),
    ),
    ScenarioPlan(
        Scenario(
            "traps",
            "What people really write: 300 images of 170 s",
            "170",
            jobs=300,
            scale=20.0,
            deadline=200.0,
        ),
        scaled=_sizes(("nbp", "trap_defaults", "trap_gather", "trap_sessions"), 300),
        virtual=_sizes(("nbp", "trap_defaults", "trap_gather", "trap_sessions"), 300),
    ),
    ScenarioPlan(
        Scenario(
            "links",
            "4K images handed out as links: held, as tasks, as a batch",
            "100-170",
            jobs=100,
            size="4K",
            weight="real",
            delivery="url",
            scale=20.0,
        ),
        scaled=_sizes(("threads", "asyncio", "nbp", "nbp_poll"), 50),
        virtual=_sizes(("asyncio", "nbp", "nbp_poll", "nbp_batch"), 50),
    ),
)

SCENARIOS = {planned.scenario.name: planned for planned in _ALL}
QUICK = ("article",)


def entries_of(planned: ScenarioPlan, clocks: tuple[Clock, ...]) -> list[RowPlan]:
    """The rows that it has by default, of what is installed."""
    names = {"scaled": planned.scaled, "virtual": planned.virtual}
    return [
        entry
        for clock in clocks
        for name in names[clock]
        for entry in [entry_of(name, planned.scenario, clock)]
        if STRATEGIES[entry.strategy].installed
    ]


def chosen(
    scenario: Scenario, names: list[str], sizes: list[int], clocks: tuple[Clock, ...]
) -> list[RowPlan]:
    """The rows that the command line names: "threads:5", or "threads" at each of `sizes`.

    Raises:
        ValueError: There is no such strategy, its package is missing, or its size is not a number.
    """
    entries = []
    for clock, name in product(clocks, names):
        strategy, colon, _ = name.partition(":")
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy {strategy!r}: one of {', '.join(STRATEGIES)}")
        known = STRATEGIES[strategy]
        if not known.installed:
            raise ValueError(
                f"{strategy} needs {known.needs}: pip install 'nbp-async[bench,peers]'"
            )
        if (clock == "virtual" and not known.is_async) or (
            scenario.delivery == "url" and not known.links
        ):
            continue
        full = [name] if colon else [f"{strategy}:{size}" for size in sizes]
        entries += [entry_of(one, scenario, clock) for one in full]
    return list(dict.fromkeys(entries))


def entry_of(name: str, scenario: Scenario, clock: Clock) -> RowPlan:
    """The row "strategy:at_once".

    Raises:
        ValueError: Its size is not a number.
    """
    strategy, _, size = name.partition(":")
    if not size.isdigit() or int(size) < 1:
        raise ValueError(f'{name!r}: a strategy and calls in flight, as "threads:5"')
    at_once = 1 if strategy == "sequential" else int(size)
    if not STRATEGIES[strategy].bounded and scenario.jobs is not None:
        at_once = scenario.jobs  # it asks for everything at once
    return RowPlan(scenario, strategy, at_once, clock)
