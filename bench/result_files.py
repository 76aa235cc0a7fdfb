"""Writes and reads the files of a comparison: `run.json`, `requests.jsonl`, `summary.csv`."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bench.records import SCHEMA, Interval, Request, Row, Run

COLUMNS = (
    "scenario",
    "strategy",
    "at_once",
    "clock",
    "jobs",
    "reps",
    "valid",
    "bound_s",
    "binds",
    "makespan_s",
    "makespan_low_s",
    "makespan_high_s",
    "of_bound",
    "of_order",
    "images_per_minute",
    "service_p50_s",
    "service_p95_s",
    "service_p99_s",
    "service_max_s",
    "cpu_ms_per_image",
    "memory_per_call_bytes",
    "failed",
    "billed_usd",
    "delivered_usd",
    "maybe_usd",
    "twice_usd",
    "lost_usd",
    "goodput_per_minute",
)


def summary_csv(rows: Iterable[Row]) -> str:
    """The rows as CSV with a heading; a figure that the clock does not measure is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        money = row.money
        writer.writerow(
            (
                row.scenario,
                row.strategy,
                row.at_once,
                row.clock,
                row.jobs,
                row.reps,
                row.valid,
                _short(row.bound.seconds),
                row.bound.binds,
                _short(row.makespan.mid),
                _short(row.makespan.low),
                _short(row.makespan.high),
                _short(row.of_bound.mid),
                _short(row.of_order.mid),
                _short(row.images_per_minute.mid),
                row.service.p50,
                row.service.p95,
                row.service.p99,
                row.service.max,
                _middle(row.cpu_ms_per_image),
                _middle(row.memory_per_call),
                row.failed,
                money.billed,
                money.delivered,
                money.maybe,
                money.twice,
                money.lost,
                _short(row.goodput.mid),
            )
        )
    return text.getvalue()


def _middle(value: Interval | None) -> str:
    return "" if value is None else _short(value.mid)


def _short(value: float) -> str:
    return f"{value:.6g}"


def save(folder: Path, run: Run, requests: Iterable[Request]) -> None:
    """Write the three files into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = msgspec.json.Encoder()
    document = msgspec.json.format(encoder.encode(run), indent=1)
    (folder / "run.json").write_bytes(document + b"\n")
    with (folder / "requests.jsonl").open("wb") as file:
        file.writelines(encoder.encode(request) + b"\n" for request in requests)
    (folder / "summary.csv").write_text(summary_csv(run.rows))


def load(folder: Path) -> Run:
    """Read `run.json`, checked against its types.

    Raises:
        ValueError: It cannot be read, or has another version.
    """
    run = msgspec.json.decode((folder / "run.json").read_bytes(), type=Run)
    if run.schema != SCHEMA:
        raise ValueError(f"{folder}: schema {run.schema!r}; this program reads {SCHEMA!r}")
    return run


def load_requests(folder: Path) -> list[Request]:
    """Read `requests.jsonl`."""
    decoder = msgspec.json.Decoder(Request)
    with (folder / "requests.jsonl").open("rb") as file:
        return [decoder.decode(line) for line in file]


def schema() -> dict[str, object]:
    """The JSON schema of `run.json`."""
    return msgspec.json.schema(Run)
