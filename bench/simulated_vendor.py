"""A vendor without sockets for simulations: latency by (seed, prompt), quotas, outages, faults.

It takes as long for a prompt as the fake server does with the same seed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from bench.bodies import answer_with, png
from nbp_async import DisconnectedError
from nbp_async.fake.fault_injection import parse_fault_rates
from nbp_async.fake.faults import Disconnect, ErrorReply, Fault
from nbp_async.fake.latency import Latency
from nbp_async.fake.quotas import Meter, Quotas
from nbp_async.fake.seeded_random import digest, seeded_uniform
from nbp_async.testing.transport import Canned, FakeTransport


class _ImageRequest(msgspec.Struct):
    prompt: str


@dataclass(frozen=True)
class Outage:
    """From `begin` on, for so many seconds, every request is answered 503."""

    begin: float
    seconds: float

    @property
    def end(self) -> float:
        return self.begin + self.seconds


class SimulatedVendor(FakeTransport):
    """One account's vendor, shared by all clients of a simulation.

    Attributes:
        holds: Seconds of all images that it made, together.
        longest: The longest of them.
        requested: Requests that came.
        refused: Those that it refused.
    """

    def __init__(
        self,
        *,
        latency: Latency,
        size: str,
        seed: int,
        price: Decimal,
        quotas: Quotas,
        outages: Sequence[Outage] = (),
        faults: str = "",
    ) -> None:
        super().__init__()
        self.keep_requests = False
        self.holds = 0.0
        self.longest = 0.0
        self.requested = 0
        self.refused = 0
        self._latency = latency
        self._size = size
        self._seed = seed
        self._price = price
        self._meter = Meter(quotas, 1.0)
        self._is_limited = quotas != Quotas()
        self._outages = tuple(outages)
        self._faults = parse_fault_rates(faults)
        check_faults(faults)
        self._answer = answer_with(png(0))
        self._decoder = msgspec.json.Decoder(_ImageRequest)
        self._began = asyncio.get_running_loop().time()

    def choose(self, request: Any) -> Canned:
        """What becomes of this request."""
        loop = asyncio.get_running_loop()
        now = loop.time() - self._began
        self.requested += 1
        prompt = self._decoder.decode(request.body).prompt
        fault = self._draw_fault(prompt, now)
        if any(outage.begin <= now < outage.end for outage in self._outages):
            return self._refused(503, None)
        if isinstance(fault, ErrorReply):
            return self._refused(fault.code, None)
        denial = self._meter.enter(now, self._price)
        if denial is not None:
            return self._refused(429, denial.wait)
        hold = self._hold(prompt)
        self.holds += hold
        self.longest = max(self.longest, hold)
        if self._is_limited:
            loop.call_later(hold, self._paid)
        if isinstance(fault, Disconnect):
            return Canned(error=DisconnectedError("reset by the vendor"), hold=hold)
        return Canned(self._answer, hold=hold)

    def _draw_fault(self, prompt: str, now: float) -> Fault | None:
        if not self._faults.known:
            return None
        # The seed is the prompt and the time: two attempts of a prompt never come at the same time.
        return self._faults.draw(seeded_uniform(self._seed, "fault", prompt, now))

    def _hold(self, prompt: str) -> float:
        name = digest(prompt, self._size).hex()
        return self._latency.seconds(seeded_uniform(self._seed, "latency", name, 1), self._size)

    def _paid(self) -> None:
        now = asyncio.get_running_loop().time() - self._began
        self._meter.leave(now, self._price, self._price)

    def _refused(self, status: int, wait: float | None) -> Canned:
        self.refused += 1
        headers = {} if wait is None else {"retry-after-ms": f"{wait * 1000:.0f}"}
        return Canned(b"{}", status=status, headers=headers)


def check_faults(faults: str) -> None:
    """ValueError if a fault is of a kind that no simulation without sockets can play."""
    for fault in parse_fault_rates(faults).known:
        if not isinstance(fault, ErrorReply | Disconnect) or (
            isinstance(fault, Disconnect) and fault.how == "hang"
        ):
            raise ValueError(f"a simulation plays statuses, reset and disconnect, not {fault}")
