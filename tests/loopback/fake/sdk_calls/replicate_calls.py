"""What people do with Replicate's SDK: arguments are the base URL and the key."""

import io
import sys
from typing import Any

import replicate
from replicate.exceptions import ModelError, ReplicateError

from tests.loopback.fake.sdk_calls.calls import run, size_of

MODEL = "google/nano-banana-pro"


def asked(prompt: str = "a cat") -> dict[str, object]:
    return {"prompt": prompt, "resolution": "1K", "aspect_ratio": "16:9", "output_format": "png"}


def run_a_model(client: Any) -> object:
    return size_of(client.run(MODEL, input=asked()).read())


def run_a_version(client: Any) -> object:
    version = client.models.get(MODEL).latest_version.id
    output = client.run(f"{MODEL}:{version}", input=asked(), wait=False, use_file_output=False)
    return output.startswith("https://127.0.0.1")


def make_and_wait(client: Any) -> object:
    made = client.models.predictions.create(MODEL, input=asked("a dog"))
    before = made.status
    made.wait()
    found = client.predictions.get(made.id)
    return before, found.status, found.version, found.metrics["image_count"]


def edit_a_file(client: Any) -> object:
    file = client.files.create(io.BytesIO(b"png"), filename="a.png")
    made = client.models.predictions.create(
        MODEL, input=asked() | {"image_input": [file.urls["get"]]}, wait=True
    )
    names = [one.name for one in client.files.list()]
    return made.status, names, client.files.delete(file.id)


def cancel(client: Any) -> object:
    made = client.models.predictions.create(MODEL, input=asked("slow"))
    made.cancel()
    return client.predictions.get(made.id).status


def listed(client: Any) -> object:
    page = client.predictions.list()
    return page.next, page.results[0].status, len({one.id for one in page.results})


def models(client: Any) -> object:
    names = [model.id for model in client.models.list().results]
    return MODEL in names, len(client.models.get(MODEL).versions.list().results)


def account(client: Any) -> object:
    return client.accounts.current().type, client.webhooks.default.secret().key[:6]


def a_refused_prompt(client: Any) -> object:
    try:
        return client.run(MODEL, input=asked("please refuse"))
    except ModelError as exc:
        return exc.prediction.error


def a_wrong_key(client: Any) -> object:
    return refusal(replicate.Client("wrong", base_url=sys.argv[1]), MODEL)


def a_wrong_model(client: Any) -> object:
    return refusal(client, "google/gemini-9")


def refusal(client: Any, model: str) -> object:
    try:
        return client.run(model, input=asked())
    except ReplicateError as exc:
        return exc.status, exc.title


if __name__ == "__main__":
    url, key = sys.argv[1:]
    run(
        replicate.Client(key, base_url=url),
        *(run_a_model, run_a_version, make_and_wait, edit_a_file, cancel, listed, models, account),
        *(a_refused_prompt, a_wrong_key, a_wrong_model),
    )
