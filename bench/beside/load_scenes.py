"""Scenes of weight: large answers, and thousands of calls that are held at once."""

from bench.beside.findings import Figure, Finding
from bench.beside.lab import Lab
from bench.beside.peer_table import NBP
from bench.beside.peer_task import PeerReply
from bench.clients import Calls, measure_calls
from bench.fresh_process import call_fresh
from bench.light_server import light_server
from bench.meter import Reading

IMAGES = 20
WEIGHT = 6 * 2**20  # bytes; 8 MB as base64
HOLD = 10.0  # seconds
_LIMITS = {False: 60.0, True: 120.0}  # seconds for all held calls of a client, by `full`


def count_held(*, full: bool) -> int:
    """How many calls are held in this run."""
    return 5_000 if full else 500


async def large_answers(lab: Lab) -> Finding:
    """Twenty answers of 8 MB at once, each image into a file: memory for each, and CPU."""
    async with lab.server(latency=0.5, weight=WEIGHT) as server:
        prompts = [f"picture {number}" for number in range(IMAGES)]
        task = lab.task(server.base_url, server.key, prompts, at_once=IMAGES, save=True)
        return judge_large(await lab.play(task))


def judge_large(reply: PeerReply | None) -> Finding:
    """Megabytes of memory and milliseconds of CPU for each image."""
    if reply is None:
        return Finding("has not ended")
    images = sum(call.size > 0 for call in reply.calls)
    links = sum(bool(call.link) for call in reply.calls)
    megabytes, cpu = reply.peak / 1e6 / IMAGES, reply.cpu * 1e3 / IMAGES
    figures = {"images": images, "links": links, "megabytes": megabytes, "cpu_ms": cpu}
    if links == IMAGES:
        return Finding("a link", figures)
    lost = f", {IMAGES - images} lost" if images < IMAGES else ""
    return Finding(f"{megabytes:.1f} MB, {cpu:.0f} ms{lost}", figures)


async def bare_held(*, full: bool) -> Reading:
    """The same calls by bare aiohttp, as its best user writes them: what the others are held to."""
    count = count_held(full=full)
    async with light_server(NBP.answer, hold=HOLD) as url:
        return await call_fresh(measure_calls, Calls("bare", url, count, count, reuse=True))


async def held_calls(lab: Lab) -> Finding:
    """Calls that are all held for ten seconds at once, by a server that is as cheap as can be."""
    count = count_held(full=lab.full)
    bare = await bare_held(full=lab.full)  # just before: the machine may be busier later
    certificate = lab.certificate if lab.peer.https == "always" else ""
    async with light_server(
        lab.peer.answer, hold=HOLD, certificate=certificate, free=lab.peer.before
    ) as url:
        prompts = [f"picture {number}" for number in range(count)]
        task = lab.task(url.removesuffix("/v1"), "sk-bench", prompts, at_once=count)
        limit = _LIMITS[lab.full]
        reply = await lab.play(task, limit=limit)
    if reply is None:
        return Finding(f"over {limit:.0f} s", {"wall": None, "bare_wall": bare.wall})
    return judge_held(reply, count, bare, https=bool(certificate))


def judge_held(reply: PeerReply, count: int, bare: Reading, *, https: bool = False) -> Finding:
    """Seconds for all, how many did not come, and the CPU of one, where bare aiohttp's is 1."""
    came = sum(not call.error for call in reply.calls)
    lost, error = count - came, next((c.error for c in reply.calls if c.error), "")
    figures: dict[str, Figure] = {"wall": reply.wall, "lost": lost, "error": error}
    figures |= {"cpu_us": reply.cpu / count * 1e6, "peak_bytes": reply.peak}
    figures |= {"bare_wall": bare.wall, "bare_cpu_us": bare.cpu / count * 1e6}
    words = f"{reply.wall:.1f} s" + (f", {lost:,} lost" if lost else "")
    words += f", CPU {reply.cpu / bare.cpu:.1f}"
    return Finding(words + (" (TLS)" if https else ""), figures)
