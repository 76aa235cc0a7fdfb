"""What people do with fal's SDK: its hosts and its key are in the environment."""

import io
import os
import urllib.request
from typing import Any

import fal_client

from tests.loopback.fake.sdk_calls.calls import run, size_of

MODEL = "fal-ai/nano-banana-pro"


def asked(prompt: str = "a cat") -> dict[str, object]:
    return {"prompt": prompt, "resolution": "1K", "aspect_ratio": "16:9", "output_format": "png"}


def sizes_of(answer: Any) -> list[str]:
    images = (urllib.request.urlopen(image["url"]).read() for image in answer["images"])
    return [size_of(image) for image in images]


def run_a_model(client: Any) -> object:
    return sizes_of(client.run(MODEL, arguments=asked()))


def edit(client: Any) -> object:
    image = fal_client.encode(io.BytesIO(b"png").getvalue(), "image/png")
    return sizes_of(client.run(f"{MODEL}/edit", arguments=asked() | {"image_urls": [image]}))


def submit(client: Any) -> object:
    handle = client.submit(MODEL, arguments=asked("a dog"))
    states = list(handle.iter_events(with_logs=True, interval=0.02))
    kinds = list(dict.fromkeys(type(status).__name__ for status in states))
    done = states[-1]
    return kinds[-1], bool(done.logs), bool(done.metrics["inference_time"]), sizes_of(handle.get())


def subscribe(client: Any) -> object:
    seen: list[str] = []
    answer = client.subscribe(
        MODEL, asked("a bird"), on_queue_update=lambda status: seen.append(type(status).__name__)
    )
    return seen[-1], sizes_of(answer)


def cancel(client: Any) -> object:
    handle = client.submit(MODEL, arguments=asked("slow"))
    handle.cancel()
    status = handle.status()
    return type(status).__name__, status.error_type


def a_refused_prompt(client: Any) -> object:
    return refusal(client, MODEL, "please refuse")


def a_wrong_key(client: Any) -> object:
    return refusal(fal_client.SyncClient(key="wrong"), MODEL, "a cat")


def a_wrong_size(client: Any) -> object:
    return refusal(client, MODEL, "a cat", resolution="9K")


def refusal(client: Any, model: str, prompt: str, **fields: object) -> object:
    try:
        return client.run(model, arguments=asked(prompt) | fields)
    except fal_client.client.FalClientHTTPError as exc:
        return exc.status_code, type(exc.message).__name__


if __name__ == "__main__":
    run(
        fal_client.SyncClient(key=os.environ["FAL_KEY"]),
        *(run_a_model, edit, submit, subscribe, cancel),
        *(a_refused_prompt, a_wrong_key, a_wrong_size),
    )
