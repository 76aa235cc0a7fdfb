"""Read the kept replies of a run again: images that are paid for and could not be delivered."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from anyio import to_thread

from nbp_async._base.errors import ConfigError, NoRunError
from nbp_async._calls.batch import Batch
from nbp_async._client.batch_vendors import BATCHES
from nbp_async._client.fetch_options import RecoverOptions
from nbp_async._client.fetch_run import home_of, open_parts
from nbp_async._client.keyword_options import takes
from nbp_async._client.parts import DIALECTS
from nbp_async._dialects.base import Decoder
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._flow.kept_replies import ReplyShelf
from nbp_async._flow.recover_replies import ReplyRecovery
from nbp_async._flow.unread_reply import KeptHead
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.database_address import is_database
from nbp_async._journal.reader import Report, read_run
from nbp_async._models.outcomes import Outcome
from nbp_async._sinks.object_sink import as_store_address
from nbp_async._sinks.unread import SUFFIX, UNREAD
from nbp_async._stores.store_address import is_store
from nbp_async._vendors.profiles import Profile


@takes(RecoverOptions)
async def recover_run(where: str | Path, options: RecoverOptions) -> Batch:
    """Read the answers again that were paid for and could not be read, and store their images.

    ```python
    batch = await recover_run("catalogue/", dialect="gemini")
    ```

    Such an answer is kept as it came (`Failure.unread`): another version, or another dialect, may
    read it. Then its image is an outcome under its usual name, journal and manifest say so, what
    was paid counts as delivered, and the same `many` does not buy it again. It needs no key and
    buys nothing. Only links that an answer turns out to hold are fetched. What cannot be read stays
    as it is; an answer that was read is deleted from the run's folder.

    Args:
        where: The run's folder, its journal, a folder without a journal, or one kept answer.

    Returns:
        The outcome of each kept answer, a Failure where it cannot be read.

    Raises:
        ConfigError: Nobody can know where the images belong: give `out`. Nothing was changed.
        NoRunError: Neither a run nor a kept answer is there.
        JournalError: The run cannot be read, or is being worked on (RunBusyError). Nothing was
            changed.
        StorageError: Images cannot be kept there. Nothing was changed.
    """
    outcomes: list[Outcome] = []

    def deliver(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if options.on_outcome is not None:
            options.on_outcome(outcome)

    await _recover(where, options, deliver)
    return Batch(outcomes)


async def _recover(
    where: str | Path, options: RecoverOptions, deliver: Callable[[Outcome], object]
) -> None:
    where = where if is_database(where) else Path(where)
    report, home, replies = await to_thread.run_sync(_look, where, options.out)
    async with open_parts(report, home, options) as parts:
        place = as_store_address(home) or Path(home)
        recovery = ReplyRecovery(
            downloads=parts.downloads,
            call=parts.call,
            shelf=ReplyShelf(place, parts.files, parts.buckets),
            decoders=partial(_decoders, options.dialect),
            deliver=deliver,
        )
        if parts.past is None:
            await recovery.alone(replies)
        else:
            await recovery.of_run(parts.past)


def _look(where: str | Path, out: str | Path | None) -> tuple[Report | None, str | Path, list[str]]:
    """The run that is there, if there is one; where its images belong; replies without a run."""
    if isinstance(where, str):
        report = read_run(where)
        return report, home_of(report, out), []
    if where.is_file() and where.suffix == SUFFIX:
        if out is None and where.absolute().parent.name != UNREAD:
            raise ConfigError(
                f"{where} does not say where its images belong. Say where: out=, or nbp recover "
                "--to."
            )
        return None, out or where.absolute().parent.parent, [str(where.absolute())]
    kept = sorted((where / UNREAD).glob(f"*{SUFFIX}"))
    if kept and not (where / JOURNAL).is_file():
        return None, where.absolute(), [str(path.absolute()) for path in kept]
    try:
        report = read_run(where)
    except NoRunError as exc:
        if (where / UNREAD).is_dir():
            return None, where.absolute(), []
        exc.hint = exc.hint or "Name the folder of a run, or a kept answer."
        raise
    home = home_of(report, out)
    return report, home if is_store(home) else Path(home).absolute(), []


def _decoders(dialect: str | None, head: KeptHead) -> Iterable[Decoder]:
    """What reads such a reply, the likeliest first."""
    if dialect is None and head.handle is not None and head.tasks is not None:
        service = Profile(name="service", base_url="https://localhost", tasks=head.tasks)
        yield TaskImages(service).poll_decoder(head.handle)
    if dialect is None and head.handle is not None and head.handle.kind == "batch":
        vendor = Profile(name="vendor", base_url="https://localhost")
        for name, batches in BATCHES.items():
            if name == head.dialect:
                yield batches().line_decoder(vendor)
    names = [head.dialect, *DIALECTS] if dialect is None else [dialect]
    for dialect_name in dict.fromkeys(names):
        if dialect_name in DIALECTS:
            yield DIALECTS[dialect_name]().decoder()
