"""litellm as it comes, at the Gemini API."""

import base64
import os

from bench.beside.peer_task import Made, Recorder, make_each


async def play(recorder: Recorder) -> None:
    task = recorder.task
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its own prices, not those of a download
    import litellm

    if task.cap:
        litellm.max_budget = task.cap

    async def make(prompt: str) -> Made:
        answer = await litellm.aimage_generation(
            prompt=prompt,
            model="gemini/gemini-3-pro-image",
            api_base=f"{task.root}/v1beta",
            api_key=task.key,
        )
        image = base64.b64decode(answer.data[0].b64_json or "")
        tokens = answer.usage.total_tokens if answer.usage else 0
        dollars = answer._hidden_params.get("response_cost")  # noqa: SLF001  as its documents say
        return Made(image=image, dollars=dollars, tokens=tokens)

    await make_each(recorder, make)
