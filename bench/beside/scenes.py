"""What is done to each client, and how what it did is judged. The bank counts the dollars.

A scene is a function of a `Lab`: it opens a server, lets the client play, and judges by a function
of figures alone. Prompts name their faults, so that each client meets the same ones.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from bench.beside.findings import Figure, Finding
from bench.beside.lab import Lab, SeenCall, calls_seen, dollars_billed, images_billed
from bench.beside.peer_task import PeerReply

WAIT = 2.0  # seconds that a 429 asks for
CAP = 0.30  # dollars: two images of five
STARTED = 300  # calls started at once
SENT_WITHIN = 10.0  # seconds
KILLED = 20  # images of a run that is killed
_SOON = 0.1  # seconds in which a client learns of a refusal
_MANY = 30  # more than anybody tries again
_NOT_ENDED = Finding("has not ended")


async def cut_answer(lab: Lab) -> Finding:
    """One image whose answer is always cut in the middle: each request is billed."""
    return await _always(lab, "cut")


async def lost_answer(lab: Lab) -> Finding:
    """One image whose connection always ends before the answer: each request is billed."""
    return await _always(lab, "disconnect")


async def _always(lab: Lab, fault: str) -> Finding:
    async with lab.server(latency=0.2) as server:
        prompt = f"a cat [fault:{','.join([fault] * _MANY)}]"
        task = lab.task(server.base_url, server.key, [prompt])
        reply = await lab.play(task)
        await server.drain()
        return judge_lost(len(calls_seen(server, task)), dollars_billed(server), reply)


def judge_lost(requests: int, billed: Decimal, reply: PeerReply | None) -> Finding:
    """How often it was sent, what that cost, and whether the client named the cost."""
    said = 0.0 if reply is None else (reply.dollars or 0.0) + (reply.maybe or 0.0)
    named = billed > 0 and said > float(billed) - 0.005
    text = f"{_plural(requests, 'request')}, ${billed:.2f}{', named' if named else ''}"
    error = "" if reply is None else next((c.error for c in reply.calls), "")
    figures: dict[str, Figure] = {"requests": requests, "billed": float(billed)}
    figures |= {"said": said, "error": error}
    return Finding(text + ("" if reply else "; not ended"), figures)


async def rate_limit(lab: Lab) -> Finding:
    """A call that gets 429 with Retry-After, and four others that start while it should wait."""
    async with lab.server(latency=0.1) as server:
        first = f"a cat [fault:429:{WAIT:g},ok]"
        prompts = [first, "a dog", "a fox", "an owl", "a hen"]
        task = lab.task(server.base_url, server.key, prompts, pause=0.3, at_once=5)
        reply = await lab.play(task)
        return judge_rate_limit(calls_seen(server, task), first, reply)


def judge_rate_limit(calls: Sequence[SeenCall], first: str, reply: PeerReply | None) -> Finding:
    """When the refused call came again, and how many others were sent in the meantime."""
    mine = [call.at for call in calls if call.prompt == first]
    if not mine:
        return _NOT_ENDED
    refused, waited = mine[0], mine[1] - mine[0] if len(mine) > 1 else None
    later = [c.at - refused for c in calls if c.prompt != first and c.at > refused + _SOON]
    others = sum(seconds < WAIT for seconds in later)
    error = "" if reply is None else next((c.error for c in reply.calls if c.error), "")
    figures: dict[str, Figure] = {"waited": waited, "others": others, "later": len(later)}
    text = "gives up" if waited is None else f"again after {waited:.1f} s"
    if others:
        text += f"; {others} others sent"
    elif later:
        text += "; all wait"
    return Finding(text, figures | {"error": error})


async def started_at_once(lab: Lab) -> Finding:
    """Many calls started together, and none answered: how many of them are sent by and by."""
    async with lab.server(latency=0.2) as server:
        # The first call is answered; these are not, while anybody looks.
        prompts = [f"picture {number:03} [fault:hang]" for number in range(STARTED)]
        task = lab.task(server.base_url, server.key, prompts)
        async with lab.process(task) as process:
            while process.returncode is None and not calls_seen(server, task):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            await asyncio.sleep(SENT_WITHIN)
        return judge_started(len(calls_seen(server, task)))


def judge_started(sent: int) -> Finding:
    """How many were sent; all of them is no bound."""
    return Finding(f"{sent} sent" if sent < STARTED else "–", {"sent": sent})


async def held_socket(lab: Lab) -> Finding:
    """A call that is silent while it is held: whether its socket probes the connection."""
    async with lab.server(latency=2.0) as server:
        reply = await lab.play(lab.task(server.base_url, server.key, ["a cat"]))
        return judge_socket(reply)


def judge_socket(reply: PeerReply | None) -> Finding:
    """After how much silence it probes."""
    idle = None if reply is None else reply.keep_alive
    return Finding("–" if idle is None else f"after {idle} s", {"idle": idle})


async def wrong_pixels(lab: Lab) -> Finding:
    """Two images that were paid: one of half the size that was asked, one that ends early."""
    async with lab.server(latency=0.2) as server:
        prompts = ["a cat [fault:size]", "a dog [fault:image]"]
        task = lab.task(server.base_url, server.key, prompts, at_once=1)
        reply = await lab.play(task)
        return judge_pixels(prompts, reply)


def judge_pixels(prompts: Sequence[str], reply: PeerReply | None) -> Finding:
    """Which of them the client did not hand over as if all were well."""
    if reply is None:
        return _NOT_ENDED
    said = {call.prompt: call.error or call.warning for call in reply.calls}
    noticed = [bool(said.get(prompt)) for prompt in prompts]
    figures: dict[str, Figure] = {prompt: said.get(prompt) for prompt in prompts}
    return Finding(f"{sum(noticed)} of {len(prompts)} noticed" if any(noticed) else "–", figures)


async def money(lab: Lab) -> Finding:
    """Three images: what the client says that they cost, and what the bank says."""
    async with lab.server(latency=0.2) as server:
        task = lab.task(server.base_url, server.key, ["a cat", "a dog", "a fox"])
        reply = await lab.play(task)
        return judge_money(dollars_billed(server), reply)


def judge_money(billed: Decimal, reply: PeerReply | None) -> Finding:
    """Dollars, tokens, or nothing."""
    if reply is None:
        return _NOT_ENDED
    figures = {"billed": float(billed), "said": reply.dollars, "tokens": reply.tokens}
    if reply.dollars:
        return Finding(f"${reply.dollars:.2f} of ${billed:.2f}", figures)
    return Finding("tokens" if reply.tokens else "–", figures)


async def spending_cap(lab: Lab) -> Finding:
    """Five images started together, with leave to spend what two cost."""
    if not lab.peer.has_cap:
        return Finding("–", {"billed": None})
    async with lab.server(latency=0.5) as server:
        prompts = ["a cat", "a dog", "a fox", "an owl", "a hen"]
        await lab.play(lab.task(server.base_url, server.key, prompts, cap=CAP))
        await server.drain()
        return judge_cap(dollars_billed(server))


def judge_cap(billed: Decimal) -> Finding:
    """What was spent of what was allowed."""
    return Finding(f"${billed:.2f} spent", {"billed": float(billed), "cap": CAP})


async def killed_program(lab: Lab) -> Finding:
    """Twenty images into a folder, five at once: killed in the middle, and started again."""
    async with lab.server(latency=1.0) as server:
        prompts = [f"picture {number:02}" for number in range(KILLED)]
        task = lab.task(server.base_url, server.key, prompts, at_once=5, save=True)
        async with lab.process(task):
            for _ in range(600):
                if images_billed(server).total() >= KILLED // 2:
                    break
                await asyncio.sleep(0.1)
        await server.drain()
        before = dollars_billed(server)
        reply = await lab.play(task)
        await server.drain()
        return judge_killed(images_billed(server), before, dollars_billed(server), reply)


def judge_killed(
    images: Counter[str], before: Decimal, billed: Decimal, reply: PeerReply | None
) -> Finding:
    """What was paid again, and what the client names as possibly paid for nothing."""
    if reply is None:
        return _NOT_ENDED
    count = images.total()
    twice = billed / max(1, count) * (count - len(images))
    maybe = reply.maybe or 0.0
    figures = {"twice": float(twice), "named": maybe}
    figures |= {"before": float(before), "billed": float(billed)}
    text = f"${twice:.2f} paid twice" if twice else "nothing paid twice"
    return Finding(text + (f", ${maybe:.2f} named" if maybe else ""), figures)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
