"""fal's client as it comes, by `run`: a call that stays open until the image is there."""

import os

from bench.beside.peer_task import Made, Recorder, make_each


async def play(recorder: Recorder) -> None:
    task = recorder.task
    # Its hosts are read when it is imported, and it speaks https alone.
    queue = f"{task.root.removeprefix('https://')}/fal"
    os.environ |= {"FAL_QUEUE_RUN_HOST": queue, "FAL_RUN_HOST": f"{queue}/run"}
    import fal_client

    client = fal_client.AsyncClient(key=task.key)

    async def make(prompt: str) -> Made:
        answer = await client.run(
            "fal-ai/nano-banana-pro", arguments={"prompt": prompt, "resolution": "1K"}
        )
        return Made(link=answer["images"][0]["url"])

    await make_each(recorder, make)
