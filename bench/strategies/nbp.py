"""This library: held calls."""

from bench.strategies.base import Told, Work, now, there
from nbp_async import Client, Image, Limits, Listener, Outcome, Profile, Timeouts


async def run(work: Work) -> list[Told]:
    limits, ends = Limits(max_in_flight=work.at_once), Ends()
    async with Client(
        profile(work), work.key, limits=limits, timeouts=patience(work), listeners=[ends],
        rng=work.luck,
    ) as gen:  # fmt: skip
        prompts = [job.prompt for job in work.jobs]
        journal = None if work.durable else False  # None is the usual: a folder has a journal
        batch = await gen.many(prompts, size=work.size, out=work.out, journal=journal)
    return [record for outcome in batch for record in records(outcome, ends)]


class Ends(Listener):
    """When each outcome was there, its image safe."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def on_outcome(self, outcome: Outcome) -> None:
        self.at[outcome.index] = now()


def profile(work: Work) -> Profile:
    """The server, by its address."""
    return Profile(name="bench", base_url=work.url, response_format=work.form)


def patience(work: Work) -> Timeouts:
    """What it has by itself; that to connect and to send would be shortened by a faster clock."""
    return Timeouts(connect=work.connect, upload=1.5 * work.connect)


def records(outcome: Outcome, ends: Ends) -> list[Told]:
    """A record of each attempt."""
    found = [
        Told(
            outcome.index, attempt.timings.connecting or attempt.timings.queued,
            attempt.timings.done, attempt.number, error=attempt.error, again=True,
            maybe=attempt.billing != "no",
        )
        for attempt in outcome.attempts
    ]  # fmt: skip
    if not found:
        return [_known(outcome)]
    found[-1].again = False
    found[-1].ended = ends.at[outcome.index]
    if isinstance(outcome, Image):
        found[-1].size = outcome.stored.size
    return found


def _known(outcome: Outcome) -> Told:
    """A record of what nothing was sent for: its journal knew it."""
    if isinstance(outcome, Image) and outcome.path is not None:
        return there(outcome.index, outcome.path)
    maybe = outcome.maybe_spent > 0
    return Told(outcome.index, now(), now(), error=f"{outcome!r}"[:200], maybe=maybe)
