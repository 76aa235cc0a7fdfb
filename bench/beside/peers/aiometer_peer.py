"""aiometer over httpx: it bounds how many calls run, and how many begin in a second.

httpx gets the time and the connections that held calls need; its own are 5 s and 100.
"""

import base64
from contextlib import suppress

import aiometer
import httpx

from bench.beside.peer_task import WARM, Made, PeerCall, Recorder, finish


async def play(recorder: Recorder) -> None:
    task = recorder.task
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {task.key}"}
    async with httpx.AsyncClient(timeout=600, limits=limits, headers=headers) as client:

        async def make(prompt: str) -> Made:
            body = {
                "model": "nano-banana-pro",
                "prompt": prompt,
                "size": "1024x1024",
                "response_format": "b64_json",
            }
            answer = await client.post(f"{task.root}/v1/images/generations", json=body)
            answer.raise_for_status()
            return Made(image=base64.b64decode(answer.json()["data"][0]["b64_json"]))

        async def record(numbered: tuple[int, str]) -> None:
            number, prompt = numbered
            call = PeerCall(prompt=prompt, error="cancelled, because another call failed")
            recorder.add(call)
            await finish(recorder, call, number, make(prompt))
            if call.error:
                raise RuntimeError(call.error)

        await make(WARM)
        recorder.begin()
        with suppress(RuntimeError, ExceptionGroup):  # the first failure ends the others
            await aiometer.run_on_each(
                record,
                list(enumerate(task.prompts)),
                max_at_once=task.at_once or None,
                max_per_second=1 / task.pause if task.pause else None,
            )
