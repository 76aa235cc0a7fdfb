"""What a run needs of its client, and how prompts become what is submitted to its queue."""

import asyncio
import dataclasses
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from nbp_async._base.errors import ConfigError
from nbp_async._client.client_options import keywords_of
from nbp_async._client.options import CallOptions, ImageOptions
from nbp_async._client.parts import Parts
from nbp_async._client.submit_options import SubmitOptions
from nbp_async._flow.job_prices import PromptPrices
from nbp_async._flow.job_source import InvalidPrompt, JobSource, Prompts
from nbp_async._flow.resume import identity_of
from nbp_async._images.references import load_references
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.database_address import is_database
from nbp_async._journal.run_queue import QueuedJob, RunQueue
from nbp_async._models.outcomes import Job, Reference
from nbp_async._models.settings import Limits

_OF_IMAGES = ("size", "aspect_ratio", "model", "quality", "thinking", "tier")
_FILES = (".sqlite3", ".sqlite", ".db")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What a run needs of its client.

    Attributes:
        open: Opens the client's parts.
        jobs: Makes jobs of prompts.
        prices: What images of a model cost in a service tier.
        limits: The client's.
    """

    open: Callable[[], Parts]
    jobs: Callable[[Prompts, ImageOptions], JobSource]
    prices: Callable[[str, str], PromptPrices]
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunOptions(CallOptions):
    """The options of a run. A process that only submits may leave the place of images to others."""

    def _check_place(self, journal: str) -> None:
        """Checked where work begins."""


def run_options(journal: str | Path, options: ImageOptions) -> RunOptions:
    """The options of work on a run: in a folder, images go there where `out` names no other place.

    Raises:
        ConfigError: They cannot work together.
    """
    own = keywords_of(options, ImageOptions)
    if options.via == "batch":
        raise ConfigError(
            "a queue is worked on image by image: make batch jobs with many().",
            option="via",
            value="batch",
        )
    where: str | Path | None = journal
    is_file = is_database(journal) or Path(journal).suffix in _FILES
    if not is_file:
        own["out"] = options.out or journal
        where = Path(journal) / JOURNAL if options.out else None
    return RunOptions(**own, journal=where, progress=False)


async def submissions_of(
    prompts: Prompts, options: SubmitOptions, run: CallOptions, parts: RunParts, queue: RunQueue
) -> list[QueuedJob]:
    """What is to be queued; references are stored with the run.

    Raises:
        ConfigError: A prompt cannot be made.
        JournalError: A reference cannot be stored.
    """
    account = parts.open().endpoint.account
    submissions: list[QueuedJob] = []
    async for job in _checked(prompts, options, run, parts):
        references = await load_references(job.prompt)
        digests = tuple([await _keep(reference, queue) for reference in references])
        identity = await identity_of(account, job, references)
        place = len(submissions)
        ticket = f"{options.key}#{place}" if options.key else secrets.token_hex(16)
        submissions.append(QueuedJob(job, identity, ticket, digests, options.note))
    return submissions


async def _checked(
    prompts: Prompts, options: SubmitOptions, run: CallOptions, parts: RunParts
) -> AsyncIterator[Job]:
    """The jobs of the prompts, at the run's options where the submission names none."""
    mine = {name: getattr(options, name) for name in _OF_IMAGES}
    given = {name: value for name, value in mine.items() if value is not None}
    jobs = parts.jobs(prompts, dataclasses.replace(run, **given))
    await jobs.check()
    try:
        while (job := await jobs.draw()) is not None:
            yield job
    except InvalidPrompt as bad:
        raise bad.error from None
    finally:
        await jobs.aclose()


async def _keep(reference: Reference, queue: RunQueue) -> bytes:
    """Store a reference's bytes, once; b"" for a link."""
    if not reference.data:
        return b""
    digest = await asyncio.to_thread(lambda: hashlib.sha256(reference.data).digest())
    await queue.keep_reference(digest, reference)
    return digest
