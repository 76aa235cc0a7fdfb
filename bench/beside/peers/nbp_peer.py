"""This library as its README shows it, at a relay's images API."""

from bench.beside.peer_task import WARM, PeerCall, Recorder, paced
from nbp_async import Client, Image, Limits, Outcome, Profile


async def play(recorder: Recorder) -> None:
    task = recorder.task
    profile = Profile(name="beside", base_url=f"{task.root}/v1", response_format="b64_json")
    limits = Limits(max_in_flight=task.at_once) if task.at_once else None
    async with Client(profile, task.key, limits=limits) as gen:
        await gen.one(WARM, size="1K")
        recorder.begin()
        batch = await gen.many(
            paced(task.prompts, task.pause),
            size="1K",
            out=task.folder if task.save else None,
            max_cost=task.cap or None,
        )
        for outcome in batch:
            recorder.add(call_of(outcome))
        recorder.reply.dollars = float(batch.billing.spent)
        recorder.reply.maybe = float(batch.billing.maybe)


def call_of(outcome: Outcome) -> PeerCall:
    """What came of one prompt."""
    prompt = outcome.prompt.text
    if isinstance(outcome, Image):
        return PeerCall(prompt=prompt, size=outcome.stored.size, warning=outcome.mismatch)
    return PeerCall(prompt=prompt, error=f"{type(outcome.error).__name__}: {outcome.error}")
