"""The options of calls: values, checked where they are made.

They are the keywords of `Client`, `many`, `stream`, `one` and so on (see `keyword_options`): an
option is a field here, its line under "Attributes", and the place that uses it.
"""

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import Elsewhere, Form, OnlyVia, check_fields
from nbp_async._base.option_fields import option_fields
from nbp_async._base.shown_fields import ShownFields
from nbp_async._client.shared_run_options import check_shared_run, no_place
from nbp_async._flow.resume_state import ResumePolicy
from nbp_async._journal.base import JOURNAL, Journal
from nbp_async._journal.database_address import DatabaseAddress, is_database
from nbp_async._models.outcomes import FailedLines, Links, Via
from nbp_async._models.settings import Dollars, dollars
from nbp_async._models.shards import Shard, read_shard
from nbp_async._sinks.base import Sink
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.object_sink import as_store_address, waiting_images
from nbp_async._stores.store_address import StoreAddress, is_store
from nbp_async._vendors.prices import ServiceTier
from nbp_async._vendors.services import ResponseFormat

NO_BATCH_TIER = Elsewhere(
    "batch", "the batch API is a way of delivery, with its own price", "via", "batch"
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageOptions(ShownFields):
    """Options of a call that makes one image.

    Attributes:
        size: "1K", "2K", "4K" or pixels as "2048x2048", for prompts that name none; None (default)
            for 2K, or the model's own.
        aspect_ratio: "16:9" and so on, for prompts that name none; None (default) leaves it to the
            model.
        model: The model to ask; None (default) takes the client's.
        quality: "low", "high" and so on, for prompts that name none, where the model has a choice;
            each has its price. None (default) takes the client's.
        thinking: "minimal", "high" and so on, for prompts that name none, where the model has a
            choice; thinking is billed as text. None (default) takes the client's.
        tier: Service tier of held calls, where the vendor has them. "flex" costs half at Google,
            takes up to 15 minutes, and may be turned away and tried again; "priority" costs more
            and goes first, or is served as "standard", and then costs that. What was given is
            booked. None (default) takes the client's.
        via: How the answers reach us. "held" (default where the endpoint has it) holds each call
            open until the image is there. "poll" submits a task and polls it, with no connection
            held meanwhile, where the endpoint takes tasks (`Profile.tasks`). "webhook" does the
            same, and polls as soon as the service calls back (`Client(webhook=)`). "batch" submits
            jobs to the vendor's batch API, for half the price and within a day, and needs a run
            with a journal.
        out: The folder that gets each image as soon as it is there, a store ("s3://bucket/prefix",
            oss://, gs:// or az://, opened with what the environment holds) or a Sink; for `one`
            also the image's file ("bike.png"), which must not exist. None (default) keeps images in
            memory, and above `Limits.max_memory` in temporary files.
        links: What becomes of an answer that is a link. "fetch" downloads its image. "keep" asks
            for links where the endpoint has the choice, and the link is the result (`Image.url`,
            until `Image.url_expires`): it is billed, and nothing is downloaded; those of a run can
            be fetched later (`fetch_run`). None (default) takes the client's.
        response_format: "url" asks for links, "b64_json" for base64 inside the answer, where the
            endpoint has the choice. None (default) takes the client's, and if that is None as well
            "url" for tasks and for `links="keep"`, else what is usual for the endpoint.
        shared: Other users of this machine may read new files and folders, as far as the umask lets
            them; by default only their owner may.
        max_cost: US dollars that no attempt may go beyond, including earlier calls of the run and
            what may have been billed; None (default) for no limit. An answer may cost more than its
            price, with images that nobody asked for: until the first ones have shown what they
            cost, only so many requests are out as this could pay at three times the price. It is
            exceeded at most by what the requests that are out by then cost beyond their price.
    """

    size: Annotated[str | None, Form('"2K" or "2048x2048"')] = None
    aspect_ratio: Annotated[str | None, Form('"16:9"')] = None
    model: str | None = None
    quality: str | None = None
    thinking: str | None = None
    tier: Annotated[ServiceTier | None, NO_BATCH_TIER] = None
    via: Via | None = None
    out: Annotated[
        str | Path | Sink | None, Form('a folder, a store such as "s3://bucket/prefix", or a Sink')
    ] = None
    links: Links | None = None
    response_format: ResponseFormat | None = None
    shared: bool = False
    max_cost: Dollars | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        as_store_address(self.out)

    @property
    def folder(self) -> Path | None:
        """The folder that images go to, if it is one."""
        return folder_of(self.out)

    @property
    def store(self) -> StoreAddress | None:
        """The store that images go to, if it is one."""
        return as_store_address(self.out)

    @property
    def prompt_defaults(self) -> dict[str, str | None]:
        """Options of prompts that name none."""
        return {
            "size": self.size,
            "aspect_ratio": self.aspect_ratio,
            "quality": self.quality,
            "thinking": self.thinking,
        }

    @property
    def spend_limit(self) -> Decimal | None:
        """`max_cost` as an amount, or None."""
        return None if self.max_cost is None else dollars(self.max_cost, "max_cost")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CallOptions(ImageOptions):
    """Options of a call that makes many images, and can be done again where it ended.

    Attributes:
        journal: A file for a journal that is not in the folder `out`, or False for none; None
            (default) has one where `out` is a folder, and none where it is a store. With
            "postgresql://host/db?run=NAME" (extra [postgres]) it is in a database, and the same
            call on any number of machines shares the work and `max_cost`.
        shard: "3/100" makes every 100th prompt, beginning with the third, under the index that the
            whole list gives it; `merge_runs` puts the runs of all parts together. Append to the
            list only: what is inserted moves all behind it into other parts. None (default) makes
            all prompts.
        resend_ambiguous: Send again what may have been billed; needs `max_cost`.
        retry_failed: Send again what was billed and brought no image, or whose file is gone.
        verify: Compare the hash of each file that is there, not only its size.
        wait: Wait for the results (default); False ends the call as soon as all batch jobs are
            created, and the same call made again brings what they made.
        failed_lines: What becomes of lines of batch jobs that cost nothing and brought nothing,
            those of an expired job among them. "batch" (default) sends them in another job, three
            in all; "held" makes them by held calls, at the full price; "keep" leaves them failures.
        progress: Show in a Jupyter notebook how it goes (default); elsewhere nothing is shown. The
            environment variable NBP_PROGRESS=0 turns it off for all calls.
    """

    journal: Annotated[
        str | Path | bool | Journal | None, Form("a file, a database, False for none, or a Journal")
    ] = None
    shard: Annotated[Shard | str | None, Form('"3/100"', read=read_shard)] = None
    resend_ambiguous: bool = False
    retry_failed: bool = False
    verify: bool = False
    wait: Annotated[bool, OnlyVia("batch")] = True
    failed_lines: Annotated[FailedLines, OnlyVia("batch")] = "batch"
    progress: bool = True

    def __post_init__(self) -> None:
        ImageOptions.__post_init__(self)
        for name, field in option_fields(type(self)).items():
            value = getattr(self, name)
            if field.via and self.via not in field.via and value != field.default:
                raise ConfigError(
                    "only for batch jobs.", option=name, value=value, remedy={"via": field.via[0]}
                )
        self._check_run()

    def _check_run(self) -> None:
        if self.database is not None:
            check_shared_run(self.via, self.shard)
            self._check_place(str(self.database))
        if self.journal is True and self.folder is None:
            raise ConfigError(
                "there is no folder for the journal: give the folder as out, or a file as journal, "
                "which is on this machine wherever images go.",
                option="journal",
                value=True,
            )
        for name in ("resend_ambiguous", "retry_failed", "verify"):
            if getattr(self, name) and not self.has_journal:
                raise ConfigError(
                    "works with the journal of a run, and this call has none.",
                    option=name,
                    value=True,
                    remedy={"out": "folder/"},
                )
        if self.resend_ambiguous and self.max_cost is None:
            raise _no_cap()

    def _check_place(self, journal: str) -> None:
        if self.out is None:
            raise no_place(journal)

    @property
    def has_journal(self) -> bool:
        """The call is a run: it has a journal, in its folder or elsewhere."""
        return self.journal is not False and (self.journal is not None or self.folder is not None)

    @property
    def journal_path(self) -> Path | None:
        """The journal's file: in the run's folder, or where it was wanted; None without one."""
        if self.database is not None:
            return None
        if isinstance(self.journal, str | Path):
            return Path(self.journal).absolute()
        folder = None if self.journal is False else self.folder
        return None if folder is None else folder / JOURNAL

    @property
    def database(self) -> DatabaseAddress | None:
        """The run in a database that has the journal, or None."""
        return DatabaseAddress.parse(str(self.journal)) if is_database(self.journal) else None

    @property
    def beside(self) -> Path | None:
        """Where images wait that the run's store did not take; None without store or journal."""
        path = self.journal_path
        return None if self.store is None or path is None else waiting_images(path)

    @property
    def resume_policy(self) -> ResumePolicy:
        """What may be bought again of what earlier calls left."""
        return ResumePolicy(
            resend_ambiguous=self.resend_ambiguous,
            retry_failed=self.retry_failed,
            verify=self.verify,
        )

    def for_failures(self, *, resend_ambiguous: bool, max_cost: Dollars | None) -> "CallOptions":
        """The options of a further call for what failed in one with these.

        Raises:
            ConfigError: They cannot work together.
        """
        if not isinstance(self.journal, str | Path | bool | None):
            raise ConfigError(
                "The journal that this call was given was closed with it: make the call again with "
                "another one."
            )
        cap = self.max_cost if max_cost is None else max_cost
        if resend_ambiguous and cap is None:
            raise _no_cap()
        if not self.has_journal:  # then the batch knows what failed, and may be sent again
            return dataclasses.replace(self, max_cost=cap)
        return dataclasses.replace(
            self, retry_failed=True, resend_ambiguous=resend_ambiguous, max_cost=cap
        )


def _no_cap() -> ConfigError:
    return ConfigError(
        "this may pay twice for an image: say how much the run may cost in all, earlier calls "
        "included.",
        option="resend_ambiguous",
        value=True,
        remedy={"max_cost": "45"},
    )


def folder_of(out: str | Path | Sink | None) -> Path | None:
    """The folder that images go to, if it is one."""
    if isinstance(out, DirectorySink):
        return Path(out.folder)
    if is_store(out):
        return None
    return Path(out).absolute() if isinstance(out, str | Path) else None
