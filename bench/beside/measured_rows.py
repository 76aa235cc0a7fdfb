"""The table's rows: each client plays each scene, and every cell names the code that proves it."""

import asyncio
import inspect
import os
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.beside import load_scenes, scenes
from bench.beside.findings import Cell, Finding, Row
from bench.beside.lab import Lab, Peer, PeerFailedError
from bench.beside.peer_environments import PINS, NotInstalledError, python_with
from bench.beside.peer_table import NBP
from bench.environment import ROOT

Scene = Callable[[Lab], Awaitable[Finding]]
Say = Callable[[str], None]
SCENES: Mapping[str, Scene] = {
    "lost": scenes.lost_answer,
    "cut": scenes.cut_answer,
    "rate-limit": scenes.rate_limit,
    "killed": scenes.killed_program,
    "money": scenes.money,
    "cap": scenes.spending_cap,
    "pixels": scenes.wrong_pixels,
    "bound": scenes.started_at_once,
    "socket": scenes.held_socket,
    "large": load_scenes.large_answers,
    "held": load_scenes.held_calls,
}
"""By the name that `--only` takes, in the table's order."""
ALONE = (load_scenes.large_answers, load_scenes.held_calls)
"""Here CPU and seconds are measured: no two clients play at once."""
TOGETHER = 3


def title_of(name: str, cells: Sequence[Cell], *, full: bool) -> str:
    """The words of a row, when its cells are measured."""
    walls = [wall for cell in cells if isinstance(wall := cell.figures.get("bare_wall"), float)]
    bare = f"bare aiohttp {statistics.median(walls):.1f} s, " if walls else ""
    held = f"{load_scenes.count_held(full=full):,} calls held for {load_scenes.HOLD:.0f} s"
    return {
        "lost": "no answer, each time",
        "cut": "half an answer, each time",
        "rate-limit": f"429 with Retry-After: {scenes.WAIT:.0f}",
        "killed": f"{scenes.KILLED} images, killed at half, started again",
        "money": "says what three images cost",
        "cap": f"five images, ${scenes.CAP:.2f} allowed",
        "pixels": "half the pixels; half a file",
        "bound": f"{scenes.STARTED} calls at once: sent in {scenes.SENT_WITHIN:.0f} s",
        "socket": "TCP keep-alive on held calls",
        "large": "8 MB of base64, 20 at once",
        "held": f"{held}; {bare}CPU 1" if bare else held,
    }[name]


class Bench:
    """All clients that can be had here.

    Args:
        peers: The columns.
        environments: Folder of their environments.
        folder: For what they keep while they play.
        full: Play the sizes that take long.
        say: Shows a line.
    """

    def __init__(
        self, peers: list[Peer], environments: Path, folder: Path, *, full: bool, say: Say
    ) -> None:
        self.full = full
        self.labs: dict[str, Lab] = {}
        self.missing: dict[str, str] = {}
        self._peers = peers
        self._say = say
        self._environments = environments
        self._folder = folder

    def install(self) -> None:
        """Make the environments that are not there yet."""
        for peer in self._peers:
            place = self._folder / peer.name
            place.mkdir()
            try:
                python = self._python(peer)
            except NotInstalledError as exc:
                self.missing[peer.name] = str(exc)
                self._say(f"  {peer.name}: not installed: {exc}")
            else:
                self.labs[peer.name] = Lab(peer, python, place, full=self.full)

    def _python(self, peer: Peer) -> Path:
        if peer.name == NBP.name:
            return Path(sys.executable)
        self._say(f"  {peer.name}: {', '.join(PINS[peer.name])}")
        return python_with(f"beside-{peer.name}", PINS[peer.name], self._environments)

    async def row(self, name: str) -> Row:
        """Measure a row, and show each cell as it is there."""
        started, load, scene = datetime.now(UTC), os.getloadavg()[0], SCENES[name]
        places = asyncio.Semaphore(1 if scene in ALONE else TOGETHER)
        self._say(f"\n{title_of(name, (), full=self.full)}\n  {inspect.getdoc(scene)}")

        async def play(peer: Peer) -> Cell:
            async with places:
                cell = await self._cell(peer, scene)
            self._say(f"  {peer.name:13} {cell.text:40} {', '.join(cell.proof)}")
            return cell

        cells = await asyncio.gather(*map(play, self._peers))
        title = title_of(name, cells, full=self.full)
        return Row(name, title, started.isoformat(timespec="seconds"), load, cells)

    async def _cell(self, peer: Peer, scene: Scene) -> Cell:
        proof = list(proof_of(peer, scene))
        if reason := self.missing.get(peer.name):
            return Cell(peer.name, "not installed", {"error": reason}, proof)
        try:
            finding = await scene(self.labs[peer.name])
        except PeerFailedError as exc:
            finding = Finding("broke", {"error": str(exc)})
        return Cell(peer.name, finding.text, finding.figures, proof)

    def versions(self) -> dict[str, str]:
        """Of each client's own distribution, as it said itself."""
        found = {}
        for peer in self._peers:
            lab = self.labs.get(peer.name)
            found[peer.name] = lab.versions.get(peer.packages[0], "") if lab else ""
        return found


def proof_of(peer: Peer, scene: Scene) -> Iterator[str]:
    """The code behind a cell: the scene, and the client's calls."""
    source = inspect.getsourcefile(scene)
    assert source is not None
    yield f"{Path(source).relative_to(ROOT).as_posix()}:{scene.__name__}"
    yield f"bench/beside/peers/{peer.module}.py:play"
