"""A run of several processes in virtual time, one of which dies at one step of its work.

The client, its flow and its take-over are the real ones; the database is `MemoryRun`, and the
vendor a bank that counts what it bills for each prompt.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from nbp_async import Client, ConnectError, DisconnectedError, Limits, NbpError, Run
from nbp_async._base.http import HttpRequest
from nbp_async._client import run_journal
from nbp_async._flow import queue_source
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._transports.base import Reply
from nbp_async._transports.stage_timer import StageTimer
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.transport import Canned, FakeTransport
from tests.unit.crashes.memory_run import MemoryRun
from tests.unit.crashes.mortal_journal import SILENCE, Fate, Mortal, MortalJournal
from tests.unit.flow.helpers import good, refusal

PROMPTS = [f"prompt {number}" for number in range(5)]
STEPS = (
    *(
        f"{name}:{when}"
        for name in ("submit", "draw", "arm", "finish", "take")
        for when in ("before", "during", "after")
    ),
    "send:before",
    "send:after",
    "answer",
    "settle:before",
    "settle:after",
)
ENDS = ("stored", "failed")
_LONGEST = 1000.0  # seconds of virtual time


@dataclass
class Bank:
    """The vendor: some requests fail for nothing, some are billed and lost on their way."""

    rng: random.Random
    billed: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    def answer(self, request: HttpRequest) -> Canned:
        prompt = json.loads(request.body)["prompt"]
        chance, hold = self.rng.random(), self.rng.uniform(1.0, 20.0)
        if chance < 0.1:
            canned = refusal(503)
        elif chance < 0.15:
            canned = Canned(error=DisconnectedError("gone"), hold=hold)
        else:
            canned = good(hold)
        self.requests[prompt] += 1
        self.billed[prompt] += canned.billed
        return canned


class MortalTransport(FakeTransport):
    """The network of one process."""

    def __init__(self, bank: Bank, mortal: Mortal) -> None:
        super().__init__()
        self._bank = bank
        self._mortal = mortal

    def choose(self, request: HttpRequest) -> Canned:
        canned = self._bank.answer(request)
        self._mortal.fate.passes("send:after", self._mortal)
        return canned

    def send(self, request: HttpRequest, timer: StageTimer) -> AbstractAsyncContextManager[Reply]:
        return self._sent(request, timer)

    @asynccontextmanager
    async def _sent(self, request: HttpRequest, timer: StageTimer) -> AsyncIterator[Reply]:
        self._mortal.fate.passes("send:before", self._mortal)
        if self._mortal.is_dead:
            raise ConnectError("This process is dead.")
        async with super().send(request, timer) as reply:
            self._mortal.fate.passes("answer", self._mortal)
            if self._mortal.is_dead:
                raise DisconnectedError("This process is dead.")
            yield reply


class Simulation:
    """One run, with one death or silence.

    Attributes:
        fate: Who dies, and when.
        run: What the database has.
        bank: What the vendor billed.
        tickets: Of the submission, as its last submitter heard them.
    """

    def __init__(self, seed: int, step: str, *, is_silence: bool = False) -> None:
        self.rng = random.Random(f"{seed} {step} {is_silence}")
        nth = 1 if step.startswith(("submit", "take")) else self.rng.randint(1, len(PROMPTS))
        self.fate = Fate(step, nth, is_silence)
        self.run = MemoryRun(most_out=3)
        self.bank = Bank(self.rng)
        self.tickets: list[int] = []
        self._joining: Mortal | None = None

    async def play(self) -> None:
        """Submit and work, each in processes that are started again, until all has ended."""
        workers = [asyncio.ensure_future(self._work_on_and_on()) for _ in range(2)]
        await self._submit()
        async with asyncio.timeout(_LONGEST):
            while not all(item.state in ENDS for item in self.run.items.values()):
                await asyncio.sleep(5.0)
        if self.fate.is_silence:
            await asyncio.sleep(2 * SILENCE)  # it wakes, and says what it knows
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)

    async def _submit(self) -> None:
        mortal = self._mortal()
        while True:
            try:
                async with self._joined(mortal) as run:
                    tickets = await run.submit(PROMPTS, key="order 7")
                    self.tickets = [ticket.number for ticket in tickets]
                    return
            except NbpError:
                mortal = self._mortal(is_mortal=False)

    async def _work_on_and_on(self) -> None:
        mortal = self._mortal()
        while True:
            with suppress(NbpError):
                async with self._joined(mortal) as run:
                    async for _ in run.work(forever=True):
                        pass
            await asyncio.sleep(1.0)
            mortal = self._mortal(is_mortal=not self.fate.struck)

    def _mortal(self, *, is_mortal: bool = True) -> Mortal:
        return Mortal(self.fate, self.rng, is_mortal)

    @asynccontextmanager
    async def _joined(self, mortal: Mortal) -> AsyncIterator[Run]:
        transport = MortalTransport(self.bank, mortal)
        limits = Limits(max_in_flight=2)
        async with Client(
            "https://relay.example/v1", "sk-test-1234", limits=limits, transport=transport
        ) as gen:
            _JOINING.append((self.run, mortal))
            async with gen.open_run(_ADDRESS, out=NowhereSink(), size="1K") as run:
                yield run


_ADDRESS = "postgresql://memory/db?run=simulated"
_JOINING: list[tuple[MemoryRun, Mortal]] = []


async def _join(database: DatabaseAddress, *_: Any) -> MortalJournal:
    run, mortal = _JOINING.pop()
    mortal.passes("join")
    return MortalJournal(run, mortal)


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in databases are in memory; who waits for work looks seldom: it would take long here."""
    monkeypatch.setattr(run_journal, "_join", _join)
    monkeypatch.setattr(queue_source, "_LOOK_AGAIN", 15.0)
