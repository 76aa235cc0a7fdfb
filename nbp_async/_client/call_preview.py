"""What a call of the client would do now."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nbp_async._base.errors import NoRunError
from nbp_async._calls.preview import Preview, preview
from nbp_async._client.options import CallOptions
from nbp_async._flow.job_source import JobSource
from nbp_async._models.outcomes import ZERO
from nbp_async._models.settings import Limits

if TYPE_CHECKING:
    from nbp_async._journal.reader import Report


def _copy_of(address: str) -> "Report | None":
    """The run in a database, as a copy in a file; None if there is none yet."""
    from nbp_async._journal.reader import read_run

    try:
        return read_run(address)
    except NoRunError:
        return None


def _file_of(options: CallOptions) -> Path | None:
    """The run's journal, if it is a file that there is."""
    from nbp_async._journal.compatibility import is_blank
    from nbp_async._journal.lost_journal import refuse_lost_run
    from nbp_async._journal.manifest import manifest_path

    path = options.journal_path
    if path is None or not is_blank(path):
        return path
    refuse_lost_run(path, options.folder, manifest_path(path, options.folder))
    return None


def preview_call(
    jobs: JobSource, options: CallOptions, limits: Limits, owner: str, *, keeps_links: bool
) -> Preview | None:
    """What the call would do now; None where its prompts are not known before they are drawn.

    `keeps_links`: its results are links.

    Raises:
        InvalidPrompt: One of the prompts cannot be sent.
        JournalError: The run's journal cannot be read, or is lost: the call would refuse to run.
    """
    if not jobs.is_listed:
        return None
    from nbp_async._journal.reader import read_run, standing_of

    room = options.spend_limit
    copy = None if options.database is None else _copy_of(str(options.journal))
    path = _file_of(options) if copy is None else copy.path
    if room is not None and path is not None and path.is_file():
        earlier = read_run(path).totals
        room -= earlier.spent + earlier.maybe
    moved = None if copy is None else options.folder  # paths in a copy are relative to that
    found = preview(
        jobs.all_jobs(),
        limits,
        standing={} if path is None else standing_of(path, moved),
        account=owner,
        again=options.resume_policy,
        folder=options.folder,
        store=str(options.store or ""),
        only=jobs.wanted,
        batch=options.via == "batch",
        keeps_links=keeps_links,
    )
    return found if room is None else msgspec.structs.replace(found, room=max(ZERO, room))
