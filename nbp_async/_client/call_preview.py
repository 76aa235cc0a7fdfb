"""What a call of the client would do now."""

import msgspec

from nbp_async._calls.preview import Preview, preview
from nbp_async._client.options import CallOptions
from nbp_async._flow.job_source import JobSource
from nbp_async._models.outcomes import ZERO
from nbp_async._models.settings import Limits


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
    from nbp_async._journal.compatibility import is_blank
    from nbp_async._journal.lost_journal import refuse_lost_run
    from nbp_async._journal.manifest import manifest_path
    from nbp_async._journal.reader import read_run, standing_of

    path, room = options.journal_path, options.spend_limit
    if path is not None and is_blank(path):
        refuse_lost_run(path, options.folder, manifest_path(path, options.folder))
        path = None
    if room is not None and path is not None and path.is_file():
        earlier = read_run(path).totals
        room -= earlier.spent + earlier.maybe
    found = preview(
        jobs.all_jobs(),
        limits,
        standing={} if path is None else standing_of(path),
        account=owner,
        again=options.resume_policy,
        folder=options.folder,
        store=str(options.store or ""),
        only=jobs.wanted,
        batch=options.via == "batch",
        keeps_links=keeps_links,
    )
    return found if room is None else msgspec.structs.replace(found, room=max(ZERO, room))
