"""This library: held calls."""

from bench.strategies.base import CallRecord, Work, existing_image, now
from nbp_async import Client, Image, Limits, Listener, Outcome, Profile, Timeouts


async def run(work: Work) -> list[CallRecord]:
    limits, ends = Limits(max_in_flight=work.at_once), Ends()
    async with Client(
        profile(work),
        work.key,
        limits=limits,
        timeouts=timeouts_of(work),
        listeners=[ends],
        rng=work.rng,
    ) as gen:
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


def timeouts_of(work: Work) -> Timeouts:
    """Its defaults; a faster clock would shorten those for connecting and sending."""
    return Timeouts(connect=work.connect, upload=1.5 * work.connect)


def records(outcome: Outcome, ends: Ends) -> list[CallRecord]:
    """A record of each attempt."""
    found = [
        CallRecord(
            outcome.index,
            attempt.timings.connecting or attempt.timings.queued,
            attempt.timings.done,
            attempt.number,
            error=attempt.error,
            retried=True,
            maybe=attempt.billing != "no",
        )
        for attempt in outcome.attempts
    ]
    if not found:
        return [_known(outcome)]
    found[-1].retried = False
    found[-1].ended = ends.at[outcome.index]
    if isinstance(outcome, Image):
        found[-1].size = outcome.stored.size
    return found


def _known(outcome: Outcome) -> CallRecord:
    """A record of an image that the journal knew: nothing was sent for it."""
    if isinstance(outcome, Image) and outcome.path is not None:
        return existing_image(outcome.index, outcome.path)
    maybe = outcome.maybe_spent > 0
    return CallRecord(outcome.index, now(), now(), error=f"{outcome!r}"[:200], maybe=maybe)
