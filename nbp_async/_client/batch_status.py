"""How the batch jobs of a run stand: by its journal alone, and by what the vendor says of them."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from nbp_async._base.errors import ConfigError, JournalError, NbpError, NoRunError
from nbp_async._batch_api.batch_ledger import JobRecord, record_from
from nbp_async._batch_api.journal_lines import BatchLines, batches_of
from nbp_async._batch_api.run_jobs import JobObservation
from nbp_async._journal.reader import Report, read_run
from nbp_async._vendors.profiles import PROFILES, Profile, find_profile

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


class RunJobs(msgspec.Struct, frozen=True):
    """The batch jobs of a run, as its journal knows them; see `read_run_jobs`.

    Attributes:
        report: What else the journal says.
        lines: The lines of each job, by its name.
    """

    report: Report
    lines: dict[str, BatchLines]

    @property
    def records(self) -> list[JobRecord]:
        """What the journal keeps of each job, in the order in which they were made."""
        return [record_from(lines.record) for lines in self.lines.values()]

    @property
    def last(self) -> JobRecord:
        """The job that was made last."""
        return self.records[-1]

    @property
    def endpoint(self) -> str:
        """Where its jobs are, as the journal says; do not send a key there unasked."""
        return self.last.endpoint

    def trusted_profile(self, endpoint: str) -> Profile:
        """Where its jobs are, if a key may be sent there: the journal may be a stranger's.

        Args:
            endpoint: The endpoint that the user named.

        Raises:
            ConfigError: Only the journal names its address. Nothing was sent.
        """
        return trusted_profile(self.endpoint, endpoint)

    def statuses(
        self, observed: Mapping[str, JobObservation] = MappingProxyType({})
    ) -> list[BatchStatus]:
        """How each job stands, by the journal and by what the vendor said of those `observed`."""
        return [
            _status(record, self.lines[record.name], observed.get(record.name))
            for record in self.records
        ]


def read_run_jobs(where: str | Path) -> RunJobs:
    """Read the batch jobs of a run from its folder or journal. Blocks; nothing is sent.

    Raises:
        NoRunError: There is no run, or it has no batch jobs.
        JournalError: It cannot be read.
    """
    report = read_run(where)
    jobs = RunJobs(report, batches_of(report.path))
    try:
        records = jobs.records
    except msgspec.MsgspecError as exc:
        raise JournalError(f"{report.path} cannot be read: {exc}.") from None
    if not records:
        raise NoRunError(
            f"The run in {where} has no batch jobs.",
            hint="They are made by nbp batch submit, or by a call that delivers by batch.",
        )
    return jobs


def trusted_profile(recorded: str, named: str) -> Profile:
    """See `RunJobs.trusted_profile`; `recorded` is the journal's endpoint, or ""."""
    ours = find_profile(named)
    if not recorded or recorded in PROFILES:
        return find_profile(recorded or named)
    if find_profile(recorded).base_url == ours.base_url:
        return ours
    raise ConfigError(
        f"The jobs of the run are at {recorded}, and only its journal says so.",
        hint="To send your key there, name it as the endpoint, or in NBP_BASE_URL.",
    )


def is_at_vendor(record: JobRecord) -> bool:
    """The job was created, or may have been, and is not over."""
    return record.state in ("creating", "created")


def _status(record: JobRecord, lines: BatchLines, observed: JobObservation | None) -> BatchStatus:
    state: State = "unknown"  # until the vendor has said it
    if not is_at_vendor(record):
        state = "over" if record.state == "over" else "planned"
    status = BatchStatus(
        record.name,
        record.id,
        state,
        record.count,
        lines.done,
        lines.failed,
        lines.waiting,
        lines.most,
        record.made,
        model=record.model,
    )
    if observed is None:
        return status
    if observed.error is not None:
        return msgspec.structs.replace(status, error=observed.error)
    vendor_status = observed.status
    if vendor_status is None:
        return msgspec.structs.replace(status, state="doubtful")
    return msgspec.structs.replace(
        status,
        id=vendor_status.id,
        state=vendor_status.state,
        done=max(lines.done, vendor_status.counts[1]),
        failed=max(lines.failed, vendor_status.counts[2]),
        expires=vendor_status.expires or None,
        error=vendor_status.error or None,
    )
