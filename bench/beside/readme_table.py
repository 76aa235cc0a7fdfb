"""The README's table, made from a run."""

from collections.abc import Iterator
from pathlib import Path

from bench.beside.findings import BesideRun
from bench.environment import ROOT

README = ROOT / "README.md"
SHIPPED = ROOT / "bench" / "results" / "beside" / "run.json"
_BEGIN, _END = "<!-- python -m bench beside -->", "<!-- end -->"


def table_of(run: BesideRun) -> str:
    """The table and where it comes from, as Markdown."""
    return "\n".join(_lines(run))


def _lines(run: BesideRun) -> Iterator[str]:
    heads = [f"{name} {version}".strip() for name, version in run.versions.items()]
    yield f"| | {' | '.join(heads)} |"
    yield f"|{'---|' * (len(heads) + 1)}"
    for row in run.rows:
        yield f"| {' | '.join([row.title, *(cell.text for cell in row.cells)])} |"
    machine = run.environment
    yield ""
    yield (
        f"Measured on {_days(run)} by `python -m bench beside`: {machine.cores} cores, "
        f"{machine.implementation} {machine.python}."
    )


def _days(run: BesideRun) -> str:
    days = sorted({row.started[:10] for row in run.rows})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def with_table(text: str, run: BesideRun) -> str:
    """A README whose table is that of the run.

    Raises:
        ValueError: It has no place for it.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError(f"the README has no {_BEGIN} … {_END}")
    return f"{before}{begin}\n{table_of(run)}\n{end}{after}"


def write_readme(run: BesideRun, readme: Path = README) -> None:
    """Put the run's table into the README."""
    readme.write_text(with_table(readme.read_text(), run))
