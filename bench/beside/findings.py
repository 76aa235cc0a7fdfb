"""What was found: a cell for each client and row, with its figures and the code that proves it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.records import Environment

Figure = float | int | str | None


class Finding(msgspec.Struct, frozen=True):
    """What one client did: in the words of the table, and in figures."""

    text: str
    figures: Mapping[str, Figure] = {}


class Cell(msgspec.Struct, frozen=True):
    """A finding in its place.

    Attributes:
        client: The column.
        text: What the table says.
        figures: What it was read from.
        proof: Where that is done, as `file:function`: the scene, and the client's calls.
    """

    client: str
    text: str
    figures: Mapping[str, Figure]
    proof: list[str]


class Row(msgspec.Struct, frozen=True):
    """What was measured, and a cell for each client.

    Attributes:
        name: As `--only` takes it.
        title: The words of the table.
        started: When, as ISO 8601.
        load: Of the machine in the minute before; more than its cores is busy.
        cells: In the order of the columns.
    """

    name: str
    title: str
    started: str
    load: float
    cells: list[Cell]


class BesideRun(msgspec.Struct, frozen=True):
    """One run of `python -m bench beside`.

    Attributes:
        command: What measured it, or its last rows.
        versions: Of the clients, by column, in the table's order; "" where it is not installed.
        environment: Machine and program.
        rows: In the table's order.
    """

    command: str
    versions: dict[str, str]
    environment: Environment
    rows: list[Row]


def with_earlier(run: BesideRun, earlier: BesideRun, order: Sequence[str]) -> BesideRun:
    """The run with the rows of an earlier one that it has not measured again.

    They are left out unless the earlier one has the same clients in the same versions.
    """
    if earlier.versions != run.versions:
        return run
    rows = {row.name: row for row in (*earlier.rows, *run.rows)}
    kept = [rows[name] for name in order if name in rows]
    return msgspec.structs.replace(run, rows=kept)


def load_run(path: Path) -> BesideRun:
    """Read a run."""
    return msgspec.json.decode(path.read_bytes(), type=BesideRun)


def save_run(path: Path, run: BesideRun) -> None:
    """Write a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
