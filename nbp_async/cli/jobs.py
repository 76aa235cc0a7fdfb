"""The batch jobs of a run: where they are asked for, and how they are shown."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from nbp_async import BatchRun, BatchStatus, ConfigError, JournalError, Profile
from nbp_async._batch_runs import Jobs, some_jobs_of, status_of, trusted
from nbp_async._config import Secret
from nbp_async._flow.batch_books import Record
from nbp_async._keys import endpoint_from
from nbp_async._profiles import find_profile
from nbp_async._words import printable, span
from nbp_async.cli import codes
from nbp_async.cli.keyfile import chosen_key, key_file, origin_of, read_keys
from nbp_async.cli.runs import Reading

_COLUMNS = ("job", "state", "lines", "done", "failed", "age", "expires in")


def run_of(where: Path, endpoint: str | None, out: Path | str | None = None) -> BatchRun:
    """The jobs of a run, with the key that the environment holds, or else the key file.

    Raises:
        Misuse: There are none, or only their journal says where a key is to be sent.
        NoKey: There is no key for them.
    """
    jobs = read_jobs(where)
    profile, key = _asked_with(jobs.last, endpoint)
    return BatchRun(where, profile, key, out=out)


def read_jobs(where: Path) -> Jobs:
    """What the journal says.

    Raises:
        Misuse: There is no run, or none with batch jobs.
        Failed: Nothing of it can be read.
    """
    Reading(where)
    try:
        return some_jobs_of(where)
    except JournalError as exc:
        raise codes.Misuse(codes.words_of(exc)) from exc


def waiting_in(jobs: Jobs) -> list[BatchStatus]:
    """Those that are at the vendor as far as the journal knows; nobody is asked."""
    return [job for job in status_of(jobs) if job.state == "unknown"]


def _asked_with(record: Record, endpoint: str | None) -> tuple[Profile, Secret]:
    """Whom to ask, with which key."""
    environ = os.environ
    try:
        if endpoint is not None:
            profile = find_profile(endpoint)
        else:
            kept = read_keys(key_file(environ)) if record.endpoint else {}
            theirs = find_profile(record.endpoint) if record.endpoint else None
            known = None if theirs is None else kept.get(origin_of(theirs))
            named = endpoint_from(environ)
            if theirs is not None and known is not None and named != record.endpoint:
                return theirs, known.key  # the one that was set for just this address
            profile = trusted(record, named)
    except ConfigError as exc:
        raise codes.Misuse(codes.words_of(exc)) from exc
    try:
        return profile, chosen_key(profile, environ)
    except ConfigError as exc:
        raise codes.NoKey(codes.words_of(exc)) from exc


def table(jobs: list[BatchStatus], now: float) -> Iterator[str]:
    """A line for each job; aligned and with a heading in a terminal, else with tabs."""
    lines = [_cells(job, now) for job in jobs]
    if not Console().is_terminal:
        yield from ("\t".join(cells) for cells in lines)
        return
    wide = [max(map(len, column)) for column in zip(_COLUMNS, *lines, strict=True)]
    for cells in (_COLUMNS, *lines):
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, wide, strict=True))
        yield "  ".join(padded).rstrip()


def as_object(now: float) -> Callable[[BatchStatus], str]:
    """Makes a job a line of JSON; units are in the names."""

    def line(job: BatchStatus) -> str:
        facts = {
            "job": job.name,
            "id": job.id,
            "state": job.state,
            "lines": job.lines,
            "done": job.done,
            "failed": job.failed,
            "waiting": job.waiting,
            "may_cost_usd": float(job.most),
            "age_s": round(now - job.made) if job.made else None,
            "expires_in_h": None if job.expires is None else _hours(job.expires - now),
            "model": job.model,
            "error": "" if job.error is None else str(job.error),
        }
        return json.dumps(facts, ensure_ascii=False)

    return line


def _cells(job: BatchStatus, now: float) -> tuple[str, ...]:
    age = span(max(0.0, now - job.made)) if job.made else ""
    open_ = job.state == "open" and job.expires is not None
    left = f"{_hours(job.expires - now)} h" if open_ and job.expires is not None else ""
    state = job.state
    numbers = map(str, (job.lines, job.done, job.failed))
    return (printable(job.name), state, *numbers, age, left)


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 1)
