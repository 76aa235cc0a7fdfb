"""What a client is made of: the only place that chooses implementations, and wires them."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import msgspec

from nbp_async._batch import Dollars
from nbp_async._batching import batching_of, has_batches, unsigned
from nbp_async._callbacks import Callbacks, problem_of
from nbp_async._config import Limits, Retry, Secret, Timeouts, dollars
from nbp_async._dialects.base import Dialect
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.openai import OpenAIImages
from nbp_async._dialects.tasks import TaskImages
from nbp_async._downloads import downloader
from nbp_async._errors import ConfigError
from nbp_async._events import Listener
from nbp_async._flow.preview import Preview, preview
from nbp_async._flow.run import Again, Past, Run
from nbp_async._flow.source import Jobs
from nbp_async._flow.tasks import Desk
from nbp_async._flow.wiring import Totals, Wiring
from nbp_async._images.download import LinkPolicy
from nbp_async._journal.base import JOURNAL, MANIFEST, Journal
from nbp_async._models import ZERO, Via
from nbp_async._options import Ask, RunAsk
from nbp_async._pacing.bucket import TokenBucket
from nbp_async._pacing.budget import RetryBudget, SpendCap
from nbp_async._pacing.slots import Slots
from nbp_async._pacing.window import SpendWindow
from nbp_async._profiles import Profile
from nbp_async._refusals import refuse_batch_options
from nbp_async._sinks.base import Sink
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.objects import ObjectSink, store_of
from nbp_async._sinks.room import Room
from nbp_async._sinks.threads import FileThreads
from nbp_async._stores.address import is_store
from nbp_async._stores.buckets import Buckets
from nbp_async._transports.base import Transport
from nbp_async._webhooks.settings import Webhook

DIALECTS: dict[str, Callable[[], Dialect]] = {
    "openai_images": OpenAIImages,
    "gemini": GeminiNative,
}


@dataclass(slots=True, kw_only=True)
class Chosen:
    """What the user chose; see `Client`."""

    profile: Profile
    key: Secret
    limits: Limits
    timeouts: Timeouts
    retry: Retry
    transport: Literal["aiohttp", "httpx"] | Transport
    listeners: tuple[Listener, ...]
    links: LinkPolicy
    ca: str | None
    account: str | None
    webhook: Webhook | None
    rng: Callable[[], float]
    totals: Totals


class Parts:
    """The open parts of one client. Belongs to one event loop."""

    def __init__(self, chosen: Chosen) -> None:
        limits, retry = chosen.limits, chosen.retry
        rate, spend = limits.departures, limits.spend_window
        self._chosen = chosen
        self._memory: MemorySink | None = None
        self._desk: Desk | None = None
        self._callbacks: Callbacks | None = None
        self._buckets = Buckets()
        self.loop = asyncio.get_running_loop()
        self.wiring = Wiring(
            profile=chosen.profile,
            key=chosen.key,
            dialect=DIALECTS[chosen.profile.dialect](),
            transport=_transport(chosen, reuse=limits.reuse_connections),
            downloads=downloader(chosen.links, limits, chosen.timeouts, chosen.ca, chosen.rng),
            files=FileThreads(),
            limits=limits,
            timeouts=chosen.timeouts,
            retry=retry,
            slots=Slots(limits.max_in_flight),
            bucket=None if rate is None else TokenBucket(rate, limits.burst),
            window=None if spend is None else SpendWindow(spend),
            retry_budget=RetryBudget(limits.max_in_flight),
            ambiguous=SpendCap(retry.ambiguous_dollars),
            listeners=chosen.listeners,
            rng=chosen.rng,
            wall_clock=time.time,
            totals=chosen.totals,
            opened_at=self.loop.time(),
        )

    def run(self, ask: Ask) -> Run:
        """What belongs to one `one` alone."""
        if ask.get("via") == "batch":
            raise ConfigError('via="batch" makes many: gen.many([prompt], ...). Nothing was sent.')
        via = via_of(ask, self._chosen)
        desk, ready = (None, None) if via == "held" else self._asking(via)
        sink, room = self._sink(ask), self._room(ask)
        return Run(sink, cap_of(ask), via=via, desk=desk, room=room, ready=ready)

    def durable_run(self, ask: RunAsk) -> Run:
        """What belongs to one `many` or `stream` alone: with a journal, where one is wanted."""
        via = via_of(ask, self._chosen)
        desk, ready = self._asking(via)
        return Run(
            self._sink(ask),
            cap_of(ask),
            via=via,
            desk=desk,
            batching=batching_of(ask, self._chosen.profile, self._callbacks)
            if via == "batch"
            else None,
            past=self._past(ask),
            room=self._room(ask),
            ready=ready,
        )

    @property
    def desk(self) -> Desk | None:
        """Where tasks are asked for; None where the endpoint has none."""
        profile, limits = self._chosen.profile, self._chosen.limits
        if self._desk is None and profile.tasks is not None:
            self._desk = Desk(
                TaskImages(profile),
                _transport(self._chosen, reuse=True),
                pace=TokenBucket(limits.look_rate),
                max_open=limits.max_open,
                rng=self._chosen.rng,
            )
        return self._desk

    def _asking(self, via: Via) -> tuple[Desk | None, Callable[[], Awaitable[None]] | None]:
        """Where tasks of a call are asked for, and what has to be ready before."""
        desk, webhook = self.desk, self._chosen.webhook
        if via not in ("webhook", "batch") or webhook is None:
            return desk, None
        if self._callbacks is None:
            self._callbacks = Callbacks(webhook, self._chosen.profile, desk)
        return self._callbacks.desk, self._callbacks.open

    async def aclose(self) -> None:
        """Close connections and threads; images stay."""
        self.wiring.close()
        if self._callbacks is not None:
            await self._callbacks.aclose()
        if self._desk is not None:
            await self._desk.aclose()
        await self.wiring.transport.aclose()
        await self.wiring.downloads.aclose()
        if self._memory is not None:
            await self._memory.aclose()
        self.wiring.files.close()

    def _sink(self, ask: Ask) -> Sink:
        out, files = ask.get("out"), self.wiring.files
        if out is not None and not isinstance(out, str | Path):
            return out
        if self._memory is None:
            self._memory = MemorySink(self._chosen.limits.max_memory, files)
        return self._memory if out is None else sink_at(out, self._memory, self._buckets, files)

    def _room(self, ask: Ask) -> Room | None:
        folder = folder_of(ask.get("out"))
        return None if folder is None else Room(folder, self.wiring.files)

    def _past(self, ask: RunAsk) -> Past | None:
        if not has_journal(ask):
            return None
        out, account = ask.get("out"), account_of(self._chosen)
        return Past(
            open=opener(ask, account, self.wiring.files, self.wiring.wall_clock),
            account=account,
            again=_again_of(ask),
            folder=folder_of(out),
            store=store_of(out),
            buckets=out.buckets if isinstance(out, ObjectSink) else self._buckets,
        )


def sink_at(out: str | Path, memory: MemorySink, buckets: Buckets, files: FileThreads) -> Sink:
    """The folder, or the place in a store. What is on its way to a store is in `memory`."""
    store = store_of(out)
    return DirectorySink(out, files) if store is None else ObjectSink(store, buckets, memory, files)


def folder_of(out: str | Path | Sink | None) -> Path | None:
    """The folder that images go to, if it is one."""
    if isinstance(out, DirectorySink):
        return Path(out.folder)
    if is_store(out):
        return None
    return Path(out).absolute() if isinstance(out, str | Path) else None


def has_journal(ask: RunAsk) -> bool:
    """The call is a run: it has a journal, in its folder or elsewhere."""
    journal = ask.get("journal")
    return journal is not False and (journal is not None or folder_of(ask.get("out")) is not None)


def via_of(ask: Ask, chosen: Chosen) -> Via:
    """How the answers of a call reach us: as it was asked, else as the endpoint can.

    Raises:
        ConfigError: This endpoint, or this call, cannot do it so. Nothing was sent.
    """
    profile = chosen.profile
    via = ask.get("via") or ("held" if profile.held else "poll")
    problem = ""
    if via not in get_args(Via):
        problem = f"one of {', '.join(get_args(Via))}."
    elif via == "held" and not profile.held:
        problem = f'{profile.name} holds no calls open: it takes tasks, with via="poll".'
    elif via in ("poll", "webhook") and profile.tasks is None:
        problem = (
            f"{profile.name} is not known to take tasks. If it does, describe it: "
            "Profile(tasks=TaskTable(...)), or a TOML file (nbp help service-files)."
        )
    elif via == "webhook":
        problem = problem_of(profile, chosen.webhook)
    elif via == "batch" and not has_batches(profile):
        problem = (
            f"{profile.name} is not known to have a batch API. If it has: Profile(batches=True)."
        )
    elif via == "batch" and not has_journal(cast("RunAsk", ask)):
        problem = 'a batch takes hours, and needs a run to go on with: give out="folder".'
    elif via == "batch":
        problem = unsigned(profile, chosen.webhook)
    if problem:
        raise ConfigError(f"via={via!r}: {problem} Nothing was sent.")
    return via


def cap_of(ask: Ask) -> SpendCap | None:
    cost = ask.get("max_cost")
    return None if cost is None else SpendCap(dollars(cost, "max_cost"))


def check_run(ask: RunAsk) -> None:
    """Refuse options that cannot work together.

    Raises:
        ConfigError: What is wrong with them. Nothing was sent.
    """
    store_of(ask.get("out"))
    refuse_batch_options(ask)
    journal, has_folder = ask.get("journal"), folder_of(ask.get("out")) is not None
    if journal is True and not has_folder:
        raise ConfigError(
            'journal=True needs a folder to be in: give out="folder/", or journal="run.sqlite3", '
            "which is on this machine wherever images go. "
            "Nothing was sent."
        )
    names = [name for name in ("resend_ambiguous", "retry_failed", "verify") if ask.get(name)]
    if names and not has_journal(ask):
        raise ConfigError(
            f"{names[0]} goes by the journal of a run, and this call has none: give "
            'out="folder/". Nothing was sent.'
        )
    _need_cap(ask)


def _need_cap(ask: RunAsk) -> None:
    if ask.get("resend_ambiguous") and ask.get("max_cost") is None:
        raise ConfigError(
            "resend_ambiguous may pay twice for an image: say how much the run may cost in all, "
            'earlier calls included, with max_cost="45". Nothing was sent.'
        )


def ask_again(ask: RunAsk, *, resend_ambiguous: bool, max_cost: Dollars | None) -> RunAsk:
    """The options of a further call for what failed in one with the options `ask`.

    Raises:
        ConfigError: They cannot work together.
    """
    more: RunAsk = {**ask, "retry_failed": True, "resend_ambiguous": resend_ambiguous}
    if max_cost is not None:
        more["max_cost"] = max_cost
    cap_of(more)
    if not isinstance(ask.get("journal"), str | Path | bool | None):
        raise ConfigError(
            "The journal that this call was given was closed with it: make the call again with "
            "another one. Nothing was sent."
        )
    _need_cap(more)
    if not has_journal(more):
        more["retry_failed"] = more["resend_ambiguous"] = False  # they go by a journal
    return more


def account_of(chosen: Chosen) -> str:
    """Who pays, as part of a job's identity: the account's name, or what stands for the key."""
    if chosen.account is not None:
        return f"{chosen.profile.name}:{chosen.account}"
    print_of_key = hashlib.sha256(b"nbp_async account\0" + chosen.key.reveal().encode())
    return f"{chosen.profile.name}:{print_of_key.hexdigest()[:16]}"


def preview_of(chosen: Chosen, jobs: Jobs, ask: RunAsk) -> Preview | None:
    """What the call would do now; None where its prompts are not known before they are drawn.

    Raises:
        BadPrompt: One of the prompts cannot be sent.
        JournalError: The run's journal cannot be read.
    """
    if not jobs.known:
        return None
    from nbp_async._journal.reader import read_run, standing_of

    path, cap = _journal_path(ask), cap_of(ask)
    if cap is not None and path is not None and path.is_file():
        earlier = read_run(path).account
        cap.spent = earlier.spent + earlier.maybe
    found = preview(
        jobs.listed(),
        chosen.limits,
        standing={} if path is None else standing_of(path),
        account=account_of(chosen),
        again=_again_of(ask),
        folder=folder_of(ask.get("out")),
        store=str(store_of(ask.get("out")) or ""),
        only=jobs.only,
        batch=ask.get("via") == "batch",
    )
    return found if cap is None else msgspec.structs.replace(found, room=max(ZERO, cap.left))


def _again_of(ask: RunAsk) -> Again:
    return Again(
        resend_ambiguous=ask.get("resend_ambiguous", False),
        retry_failed=ask.get("retry_failed", False),
        verify=ask.get("verify", False),
    )


def _journal_path(ask: RunAsk) -> Path | None:
    """Where the journal is: in the run's folder, or where it was wanted; None without one."""
    journal, folder = ask.get("journal"), folder_of(ask.get("out"))
    if isinstance(journal, str | Path):
        return Path(journal).absolute()
    return None if journal is False or folder is None else folder / JOURNAL


def opener(
    ask: RunAsk, account: str, files: FileThreads, wall_clock: Callable[[], float]
) -> Callable[[], Awaitable[Journal]]:
    """What opens the journal of a run."""
    journal, folder, path = ask.get("journal"), folder_of(ask.get("out")), _journal_path(ask)

    async def open_journal() -> Journal:
        if journal is not None and not isinstance(journal, str | Path | bool):
            return journal
        from nbp_async._journal.sqlite import SqliteJournal

        assert path is not None, "checked when the call was made"
        manifest = path.with_suffix(".jsonl") if folder is None else folder / MANIFEST
        opened = await SqliteJournal.open(
            path, account=account, folder=folder, wall_clock=wall_clock, manifest=manifest
        )
        if folder is not None:  # it is ours alone by now
            await DirectorySink(folder, files).clean()
        return opened

    return open_journal


def _transport(chosen: Chosen, *, reuse: bool) -> Transport:
    if not isinstance(chosen.transport, str):
        return chosen.transport
    vendor = chosen.profile.name
    if chosen.transport == "httpx":
        from nbp_async._transports.httpx import HttpxTransport

        return HttpxTransport(reuse=reuse, vendor=vendor, ca=chosen.ca)
    from nbp_async._transports.aiohttp import AiohttpTransport

    return AiohttpTransport(reuse=reuse, vendor=vendor, ca=chosen.ca)
