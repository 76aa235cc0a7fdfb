"""The batch jobs of a run, from any machine that has its folder: no prompts, no call that waits."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Literal, Self, Unpack

import msgspec
from anyio import to_thread

from nbp_async._batch import Batch
from nbp_async._client import Client
from nbp_async._config import Secret
from nbp_async._errors import ConfigError, JournalError, NbpError
from nbp_async._fetch import home_of
from nbp_async._flow.batch_books import Record, record_from
from nbp_async._flow.batch_runs import Seen, bring_all, cancel_all, look_at
from nbp_async._flow.run import Run
from nbp_async._flow.wiring import Wiring
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.batches import BatchLines, batches_of
from nbp_async._journal.checks import refuse_foreign
from nbp_async._journal.reader import Report, read_run
from nbp_async._keys import endpoint_from, key_from
from nbp_async._models import Outcome
from nbp_async._options import ClientOptions, RunAsk
from nbp_async._profiles import PROFILES, Profile, find_profile

_PRINT = re.compile("[0-9a-f]{16}")  # stands for a key, where the account has no name
State = Literal[
    "planned", "doubtful", "open", "done", "failed", "cancelled", "expired", "unknown", "over"
]


class BatchStatus(msgspec.Struct, frozen=True):
    """How one batch job of a run stands.

    Attributes:
        name: What we called it.
        id: What the vendor calls it, or "".
        state: "planned": never created, and nothing is paid; "doubtful": its creation was not
            answered, and no list has it yet; "open": the vendor works on it; "done", "failed",
            "cancelled", "expired": it has ended at the vendor, and its results are not here yet;
            "unknown": the vendor was not asked, or could not be; "over": all that it made is here.
        lines: Images that were asked for.
        done, failed: Of these, as the vendor counts them while it works, then as they came.
        waiting: Lines without an outcome here.
        most: US dollars that those may cost.
        made: When it was planned, in seconds since 1970.
        expires: When the vendor gives it up if it is not done, in seconds since 1970, or None.
        model: The model that makes it.
        error: Why it failed or could not be asked for, or None.
    """

    name: str
    id: str
    state: State
    lines: int
    done: int
    failed: int
    waiting: int
    most: Decimal
    made: float
    expires: float | None = None
    model: str = ""
    error: NbpError | str | None = None


class Jobs(msgspec.Struct, frozen=True):
    """What a run's journal says of its batch jobs; see `jobs_of`."""

    report: Report
    kept: dict[str, BatchLines]

    @property
    def records(self) -> list[Record]:
        return [record_from(lines.record) for lines in self.kept.values()]

    @property
    def last(self) -> Record:
        """The job that was made last."""
        return self.records[-1]


def jobs_of(where: str | Path) -> Jobs:
    """Read which batch jobs a run has, if any. Blocks, and asks nobody.

    Raises:
        JournalError: There is no run, or it cannot be read.
    """
    report = read_run(where)
    jobs = Jobs(report, batches_of(report.path))
    try:
        assert len(jobs.records) == len(jobs.kept)
    except msgspec.MsgspecError as exc:
        problem = JournalError(f"{report.path} cannot be read: {exc}.")
    else:
        return jobs
    raise problem


def some_jobs_of(where: str | Path) -> Jobs:
    """The same of a run that has some.

    Raises:
        JournalError: It has none; or as above.
    """
    jobs = jobs_of(where)
    if not jobs.kept:
        raise JournalError(
            f"The run in {where} has no batch jobs.",
            hint='They are made by via="batch", or nbp batch submit FILE --out DIR.',
        )
    return jobs


class BatchRun:
    """The batch jobs of a run: how they stand, what they made, and their end.

    ```python
    async with BatchRun("catalogue/") as run:
        for job in await run.jobs():
            print(job.name, job.state, job.done)
        batch = await run.fetch()
    ```

    Endpoint and account are in the run's journal: a folder that was copied to another machine
    goes on there, with a key of the same account.

    Args:
        where: The run's folder, or its journal.
        endpoint: As for `Client`. None (default) takes the journal's, if that is a vendor's that
            the library knows, or the one that the environment names.
        api_key: As for `Client`; None (default) takes it from the environment.
        out: Where the run's images belong, a folder or a store, if the journal does not say so.
        environ: Instead of `os.environ`.
        options: Those of `Client`.

    Raises (where it is entered):
        ConfigError: No key, or nobody but the journal says where it is to be sent. Nothing was
            sent.
        JournalError: There is no run with batch jobs, or another account's. Nothing was sent.
    """

    def __init__(
        self,
        where: str | Path,
        endpoint: str | Profile | None = None,
        api_key: str | Secret | None = None,
        *,
        out: str | Path | None = None,
        environ: Mapping[str, str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._where = where
        self._endpoint = endpoint
        self._key = api_key
        self._out = out
        self._environ = os.environ if environ is None else environ
        self._options = options
        self._client: Client | None = None
        self._path = Path(where)

    async def jobs(self) -> list[BatchStatus]:
        """Ask how each job stands, in the order in which they were made. Nothing is changed.

        Another process may work on the run meanwhile. A job that cannot be asked for is "unknown".
        """
        wiring, run = self._parts(None)
        jobs = await to_thread.run_sync(jobs_of, self._where)
        asked = [record for record in jobs.records if _is_out(record)]
        seen = await look_at(wiring, run, asked)
        return status_of(jobs, dict(zip(_names(asked), seen, strict=True)))

    async def fetch(self, on_outcome: Callable[[Outcome], object] | None = None) -> Batch:
        """Bring the images of all jobs that have ended; buys nothing, and waits for nothing.

        Args:
            on_outcome: Called with each outcome as it comes; it must not block.

        Returns:
            The outcomes of what had none before. What stays at the vendor is a Failure with a
            TaskOpenError: fetch again. Safe to interrupt: what came is not brought twice.

        Raises:
            JournalError: The journal cannot be used, or another process works on the run
                (RunBusyError). Nothing was changed.
            StorageError: Images cannot be kept here. They stay at the vendor.
        """
        outcomes: list[Outcome] = []

        def deliver(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if on_outcome is not None:
                on_outcome(outcome)

        jobs = await to_thread.run_sync(jobs_of, self._where)
        home = await to_thread.run_sync(_home, jobs, self._out)
        wiring, run = self._parts(home)
        await bring_all(wiring, run, deliver)
        return Batch(sorted(outcomes, key=lambda outcome: outcome.index))

    async def cancel(self) -> list[BatchStatus]:
        """Ask the vendor to begin nothing more of the jobs that are open.

        What is rendered by then is charged, at most `most` of each job; `fetch` brings it.
        A process that works on the run goes on creating jobs: stop it first.
        """
        wiring, run = self._parts(None)
        jobs = await to_thread.run_sync(jobs_of, self._where)
        asked = [record for record in jobs.records if _is_out(record)]
        seen = await cancel_all(wiring, run, asked)
        return status_of(jobs, dict(zip(_names(asked), seen, strict=True)))

    async def __aenter__(self) -> Self:
        jobs = await to_thread.run_sync(some_jobs_of, self._where)
        profile = self._profile(jobs.last)
        key = self._key or key_from(self._environ, profile)
        account = jobs.report.owner.removeprefix(f"{profile.name}:")
        if self._options.get("account") is None and not _PRINT.fullmatch(account):
            self._options["account"] = account
        self._path = jobs.report.path
        self._client = Client(profile, key, **self._options)
        try:
            _, run = self._parts(None)
            assert run.past is not None
            await to_thread.run_sync(refuse_foreign, self._path, run.past.account)
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    def _profile(self, record: Record) -> Profile:
        if self._endpoint is not None:
            profile = find_profile(self._endpoint)
        else:
            profile = trusted(record, endpoint_from(self._environ))
        same = bool(record.endpoint) and profile.base_url == _base_of(record)
        return replace(profile, name=record.vendor if same else profile.name, batches=True)

    def _parts(self, home: str | Path | None) -> tuple[Wiring, Run]:
        if self._client is None:
            raise ConfigError("BatchRun is used in `async with`. Nothing was sent.")
        ask: RunAsk = {"via": "batch", "journal": self._path, "out": home}
        parts = self._client._open()  # noqa: SLF001  its own client
        return parts.wiring, parts.durable_run(ask)


def trusted(record: Record, named: str) -> Profile:
    """The endpoint of a job, if a key may be sent there: a journal may be a stranger's.

    Args:
        record: The job.
        named: The endpoint that the user named.

    Raises:
        ConfigError: Only the journal says so. Nothing was sent.
    """
    ours = find_profile(named)
    if not record.endpoint or record.endpoint in PROFILES:
        return find_profile(record.endpoint or named)
    theirs = find_profile(record.endpoint)
    if theirs.base_url == ours.base_url:
        return ours
    raise ConfigError(
        f"The run's jobs are at {record.endpoint}, and only its journal says so. Nothing was sent.",
        hint="To send your key there, name it: endpoint=, NBP_BASE_URL, or --endpoint.",
    )


def _base_of(record: Record) -> str:
    return find_profile(record.endpoint).base_url


def _home(jobs: Jobs, out: str | Path | None) -> str | Path:
    if jobs.report.path.name == JOURNAL:
        return jobs.last.store or jobs.report.folder
    return out or jobs.last.store or home_of(jobs.report)


def _is_out(record: Record) -> bool:
    return record.state in ("creating", "created")


def _names(records: list[Record]) -> list[str]:
    return [record.name for record in records]


def status_of(jobs: Jobs, seen: Mapping[str, Seen] = MappingProxyType({})) -> list[BatchStatus]:
    """How each job stands, by the journal and by what the vendor said of those that are `seen`."""
    return [
        _status(record, jobs.kept[record.name], seen.get(record.name)) for record in jobs.records
    ]


def _status(record: Record, lines: BatchLines, seen: Seen | None) -> BatchStatus:
    state: State = "unknown"  # until the vendor has said it
    if not _is_out(record):
        state = "over" if record.state == "over" else "planned"
    told = BatchStatus(
        record.name, record.id, state, record.count,
        lines.done, lines.failed, lines.waiting, lines.most, record.made, model=record.model,
    )  # fmt: skip
    if seen is None:
        return told
    if seen.error is not None:
        return msgspec.structs.replace(told, error=seen.error)
    found = seen.standings
    if found is None:
        return msgspec.structs.replace(told, state="doubtful")
    return msgspec.structs.replace(
        told,
        id=found.id,
        state=found.standing,
        done=max(lines.done, found.counts[1]),
        failed=max(lines.failed, found.counts[2]),
        expires=found.expires or None,
        error=found.error or None,
    )
