"""The batch jobs of a run: the key that they are asked with, and how they are shown."""

import json
import os
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from nbp_async import (
    AuthError,
    BatchRun,
    BatchStatus,
    JournalError,
    NoRunError,
    Profile,
    RunJobs,
    Secret,
    endpoint_from_env,
    find_profile,
    read_run_jobs,
)
from nbp_async.cli import exit_codes
from nbp_async.cli.error_text import error_text
from nbp_async.cli.key_file import key_file, read_keys
from nbp_async.cli.network_options import ClientSettings
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.cli.table_approval import key_to_send
from nbp_async.display.formats import format_dollars, format_seconds, plural, printable

_COLUMNS = ("job", "state", "lines", "done", "failed", "age", "expires in")


def open_batch_run(
    where: Path, endpoint: str | None, network: ClientSettings, out: Path | str | None = None
) -> BatchRun:
    """The jobs of a run, with the key of the environment, or else of the key file.

    Raises:
        InvalidUseError: It has no jobs, or only their journal says where the key goes.
        ApiKeyError: There is no key for them.
    """
    profile, key = _profile_and_key(read_jobs(where), endpoint)
    return BatchRun(where, profile, key, out=out, **network)


def read_jobs(where: Path) -> RunJobs:
    """The jobs as the journal knows them.

    Raises:
        InvalidUseError: There is no run, or it has no batch jobs.
        CommandFailedError: Its journal cannot be read.
    """
    with (
        exit_codes.errors_as(exit_codes.CommandFailedError, JournalError),
        exit_codes.errors_as(exit_codes.InvalidUseError, NoRunError),
    ):
        return read_run_jobs(where)


def jobs_at_vendor(jobs: RunJobs) -> list[BatchStatus]:
    """The jobs that are not over, as far as the journal knows; nothing is sent."""
    return [job for job in jobs.statuses() if job.state == "unknown"]


def describe_jobs(jobs: Iterable[BatchStatus]) -> str:
    """`2 jobs of 300 images, for at most $20.10`."""
    jobs = list(jobs)
    images, most = sum(job.waiting for job in jobs), sum((job.most for job in jobs), Decimal(0))
    count = f"{plural(len(jobs), 'job')} of {plural(images, 'image')}"
    return f"{count}, for at most {format_dollars(most)}"


def _profile_and_key(jobs: RunJobs, endpoint: str | None) -> tuple[Profile, Secret]:
    """Where the jobs are, and the key for it."""
    recorded = jobs.endpoint
    with exit_codes.errors_as(exit_codes.InvalidUseError):
        if endpoint is not None:
            profile = find_profile(endpoint)
        else:
            named = endpoint_from_env(os.environ)
            # The folder may come from a stranger, and its journal may name the stranger's server:
            # the key goes there only if the user named or stored it for that address.
            if recorded and named != recorded:
                theirs = find_profile(recorded)
                stored = read_keys(key_file(os.environ)).get(theirs.origin)
                if stored is not None:  # the user stored a key for exactly this address
                    return theirs, stored.key
            profile = jobs.trusted_profile(named)
    with exit_codes.errors_as(exit_codes.ApiKeyError):
        return profile, key_to_send(profile, os.environ)


def table_lines(jobs: list[BatchStatus], now: float) -> Iterator[str]:
    """A line for each job: aligned, with a heading, in a terminal; else with tabs."""
    rows = [_cells(job, now) for job in jobs]
    if not Console().is_terminal:
        yield from ("\t".join(cells) for cells in rows)
        return
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for cells in (_COLUMNS, *rows):
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        yield "  ".join(padded).rstrip()


def job_json(job: BatchStatus, now: float) -> str:
    """A job as one line of JSON; units are in the names."""
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


def submitted_json(job: BatchStatus) -> str:
    """A job that was just created as one line of JSON."""
    facts = {
        "job": job.name,
        "id": job.id,
        "images": job.waiting,
        "most_usd": float(job.most),
        "model": job.model,
    }
    return json.dumps(facts)


def report_problems(jobs: list[BatchStatus]) -> int:
    """Print why jobs could not be checked, and return the exit code."""
    console = stderr_console()
    errors = {str(job.error): job.error for job in jobs if job.state == "unknown"}
    for text, error in errors.items():
        print_line(console, printable(text if isinstance(error, str | None) else error_text(error)))
    doubtful = sum(job.state == "doubtful" for job in jobs)
    if doubtful:
        print_line(
            console,
            f"{plural(doubtful, 'job')} in doubt: the vendor did not answer when it was created, "
            "and does not list it. nbp batch fetch looks for it for another minute, and then "
            "releases its prompts.",
        )
    if any(isinstance(error, AuthError) for error in errors.values()):
        return exit_codes.KEY
    return exit_codes.SOME_FAILED if errors or doubtful else exit_codes.ALL_MADE


def _cells(job: BatchStatus, now: float) -> tuple[str, ...]:
    age = format_seconds(max(0.0, now - job.made)) if job.made else ""
    left = ""
    if job.state == "open" and job.expires is not None:
        left = f"{_hours(job.expires - now)} h"
    numbers = map(str, (job.lines, job.done, job.failed))
    return (printable(job.name), job.state, *numbers, age, left)


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 1)
