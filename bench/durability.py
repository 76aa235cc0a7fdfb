"""`python -m bench durability`: what the journal costs, and what a run survives.

Transitions a second through the whole client, images a second with and without a journal in the
same run, and processes killed at random moments of one run of images, with the fake bank as the
witness: images lost, and dollars paid twice that nobody named, are both to be 0.
"""

import asyncio
import json
import random
import statistics
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.core import Check
from bench.readings import save_readings
from nbp_async import read_run
from nbp_async.fake import spawn
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.process import SpawnedServer

HELD = 1.0  # seconds of an image at 50 images a second with 50 in flight
PRICE = Decimal("0.134")  # of an image, by the list
STATES = 3  # planned, armed, stored


class Durability:
    """The three scenarios, what they found, and the checks on it."""

    def __init__(self, *, reps: int, quick: bool, kills: int | None = None) -> None:
        self.reps = reps
        self.quick = quick
        self.kills = kills if kills is not None else (20 if quick else 200)
        self.checks: list[Check] = []
        self.readings: dict[str, Any] = {}

    async def run(self) -> None:
        await self.transitions()
        await self.overhead()
        await self.simulated()
        await self.survival()

    async def transitions(self) -> None:
        count = 2_000 if self.quick else 20_000
        with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
            done = await _work({"what": "transitions", "folder": folder, "prompts": count})
            account = read_run(Path(folder) / "run.sqlite3").account
        pace = STATES * done["images"] / done["wall"]
        cpu = done["cpu"] / done["images"] * 1e6
        self.readings["transitions"] = done | {"pace": pace}
        print(
            f"\nTransitions: {count} images as fast as it goes, 200 at once, no sockets\n"
            f"  {pace:,.0f} a second, each durable before the next; {cpu:.0f} us of CPU an image "
            f"for all; {account.images} of {count} in the journal"
        )
        self._check("2,000 over the transitions a second", 2000 / pace, 1.0)
        self._check("images that the journal does not know", count - account.images, 0, "")

    async def overhead(self) -> None:
        count = 100 if self.quick else 500
        walls: dict[bool, list[float]] = {True: [], False: []}
        cpus: dict[bool, list[float]] = {True: [], False: []}
        order = [True, False] * self.reps
        random.Random(7).shuffle(order)
        async with await spawn(latency=HELD) as server:
            for journal in order:
                with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
                    task = _task(server, folder, prompts=count, in_flight=50)
                    done = await _work(task | {"journal": journal, "warm": True})
                walls[journal].append(done["wall"])
                cpus[journal].append(done["cpu"] / count)
        wall = {journal: statistics.median(values) for journal, values in walls.items()}
        cpu = {journal: statistics.median(values) * 1e6 for journal, values in cpus.items()}
        self.readings["overhead"] = {"wall": walls, "cpu": cpus}
        print(
            f"\nOverhead: {count} images to a folder, 50 in flight, held {HELD:g} s, median of "
            f"{self.reps}\n"
            f"  with a journal     {count / wall[True]:6.1f} images a second, "
            f"{cpu[True]:.0f} us of CPU an image\n"
            f"  without            {count / wall[False]:6.1f} images a second, "
            f"{cpu[False]:.0f} us of CPU an image"
        )
        self._check("time with a journal over time without", wall[True] / wall[False], 1.05)

    async def simulated(self) -> None:
        """A long run with faults in virtual time: its account is exact, and memory flat."""
        count = 5_000 if self.quick else 100_000
        with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
            done = await _work({"what": "simulated", "folder": folder, "prompts": count})
            account = read_run(Path(folder) / "run.sqlite3").account
        spent, maybe = Decimal(done["spent"]), Decimal(done["maybe"])
        self.readings["simulated"] = done
        print(
            f"\nSimulated: {count} prompts, 200 in flight, one request in twenty goes wrong\n"
            f"  {done['simulated_s'] / 3600:.1f} h of virtual time in {done['wall']:.0f} s; "
            f"{done['images']} images, {done['failures']} failures\n"
            f"  ${spent} spent and perhaps ${maybe} more; the journal says ${account.spent} and "
            f"${account.maybe}; memory grew by {done['growth'] / 2**20:.1f} MiB"
        )
        wrong = abs(spent - account.spent) + abs(maybe - account.maybe)
        self._check("dollars by which outcomes and journal differ", float(wrong), 0, "$")
        unnamed = done["billed"] - round((spent + maybe) / PRICE)
        self._check("billed requests that are not named", max(0, unnamed), 0, "")
        self._check("growth from a tenth to the end", done["growth"] / 2**20, 8, "MiB")

    async def survival(self) -> None:
        """Kill one run of 2,000 images until it was killed often enough, then let it end."""
        count, rng = (200 if self.quick else 2_000), random.Random(7)
        with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
            async with await spawn(
                latency="30-170", speed=1000.0 if self.quick else 250.0
            ) as server:
                task = _task(server, folder, prompts=count, in_flight=4)
                landed = 0
                while landed < self.kills:
                    landed += await _killed(task, rng.uniform(0.3, 0.7))
                task |= {"in_flight": 50}
                done = await _work(task)
                told = await _books(server, Path(folder))
                resent = await _work(task | {"resend": str(count)})
                last = await _books(server, Path(folder))
        lost = count - done["images"] - done["unclear"]
        self.readings["survival"] = {"kills": landed, "after": done, "resent": resent}
        print(
            f"\nSurvival: {count} images, 4 in flight; killed (SIGKILL) {landed} times\n"
            f"  after the last start {done['images']} images are there, {done['unclear']} may have "
            "been billed, each named\n"
            f"  the bank billed ${told['billed']}; the journal says ${told['spent']} and perhaps "
            f"${told['maybe']} more\n"
            f"  sent again when told to: {resent['images']} images are there"
        )
        twice = max(told["twice"], last["twice"])
        self._check("images lost", lost + count - resent["images"], 0, "")
        self._check("dollars paid twice and not named", float(twice), 0, "$")

    def save(self, path: Path) -> None:
        save_readings(path, self.checks, self.readings)

    def _check(self, name: str, value: float, bound: float, unit: str = "x") -> None:
        check = Check(name, value, bound, unit)
        self.checks.append(check)
        print(check)


def _task(server: SpawnedServer, folder: str, **more: Any) -> dict[str, Any]:
    return {"url": server.openai_url, "key": server.key, "folder": folder, **more}


async def _start(task: dict[str, Any]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.durable_worker", json.dumps(task),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _work(task: dict[str, Any]) -> dict[str, Any]:
    process = await _start(task)
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(err.decode())
    found: dict[str, Any] = json.loads(out)
    return found


async def _killed(task: dict[str, Any], after: float) -> bool:
    """Start a process and kill it; False if it had ended by itself."""
    process = await _start(task)
    try:
        await asyncio.wait_for(process.wait(), after)
    except TimeoutError:
        process.kill()
    await process.communicate()
    return process.returncode != 0


async def _books(server: SpawnedServer, folder: Path) -> dict[str, Any]:
    """The bank's word against the journal's."""
    while (await server.stats()).in_flight:  # noqa: ASYNC110  it is another process
        await asyncio.sleep(0.05)
    witness = await server.witness(prompts=True)
    paid = Counter(witness.images_by_prompt)
    report = read_run(folder)
    twice = 0
    for row in report.rows():
        twice += max(0, paid[prompt_digest(row.prompt)] - row.attempts)
    price = witness.stats.dollars / max(1, witness.stats.images)
    return {
        "billed": witness.stats.dollars,
        "spent": report.account.spent,
        "maybe": report.account.maybe,
        "twice": twice * Decimal(price),
    }
