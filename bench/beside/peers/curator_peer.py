"""Curator as it comes, at a relay's chat API: it makes text, and the image stands in the text."""

import asyncio
import base64
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.beside.peer_task import WARM, PeerCall, PeerTask, Recorder


async def play(recorder: Recorder) -> None:
    await asyncio.to_thread(make_all, recorder)  # it runs a loop of its own


def make_all(recorder: Recorder) -> None:
    """All prompts of the task; those of a run that ended early are in its cache."""
    task = recorder.task
    set_environment(task)
    from bespokelabs import curator

    parameters: dict[str, object] = {"base_url": f"{task.root}/v1", "api_key": task.key}
    if task.at_once:
        limits = {"max_requests_per_minute": 1_000_000, "max_tokens_per_minute": 10**9}
        parameters |= {"max_concurrent_requests": task.at_once, **limits}
    llm = curator.LLM(model_name="nano-banana-pro", backend="openai", backend_params=parameters)
    llm([WARM])
    recorder.begin()
    calls = [PeerCall(prompt=prompt) for prompt in task.prompts]
    try:
        answer = llm(task.prompts)
    except Exception as exc:  # noqa: BLE001  it ends all of them by one
        for call in calls:
            call.error = f"{type(exc).__name__}: {exc}"[:300]
    else:
        for call, row in zip(calls, answer.dataset, strict=False):
            call.size = len(image_of(row))
        recorder.reply.dollars = answer.cost_info.total_cost or None
        recorder.reply.tokens = answer.token_usage.total
    for call in calls:
        recorder.add(call)


def set_environment(task: PeerTask) -> None:
    """What it reads of the environment: it keeps its cache with the task, and downloads nothing."""
    spec = find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    # It counts tokens by a table that it would download; litellm brings the same.
    tokens = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ |= {
        "CURATOR_CACHE_DIR": f"{task.folder}/curator",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "TELEMETRY_ENABLED": "false",
        "HF_HUB_OFFLINE": "1",
        "TIKTOKEN_CACHE_DIR": str(tokens),
    }


def image_of(row: Any) -> bytes:
    """The image in a text such as `![image](data:image/png;base64,...)`."""
    _, _, data = str(row["response"]).partition(";base64,")
    return base64.b64decode(data.partition(")")[0])
