"""What people do with OpenAI's SDK: arguments are the base URL and the key."""

import base64
import io
import json
import sys
from typing import Any

import openai

from tests.loopback.fake.sdk_calls.calls import Receiver, run, size_of, until

MODEL = "gpt-image-2"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def images_of(answer: Any) -> list[str]:
    return [size_of(base64.b64decode(image.b64_json)) for image in answer.data]


def generate(client: Any) -> object:
    answer = client.images.generate(model=MODEL, prompt="a cat", size="1536x1024", quality="low")
    return images_of(answer), answer.usage.output_tokens


def generate_a_link(client: Any) -> object:
    answer = client.images.generate(model="nano-banana-pro", prompt="a", response_format="url")
    return answer.data[0].url.startswith("http://127.0.0.1")


def edit(client: Any) -> object:
    files = [("a.png", io.BytesIO(PIXEL), "image/png"), ("b.png", io.BytesIO(PIXEL), "image/png")]
    answer = client.images.edit(model=MODEL, prompt="a hat", image=files, n=2)
    return images_of(answer), answer.usage.input_tokens_details.image_tokens


def batch(client: Any) -> object:
    body = {"model": MODEL, "prompt": "a cat"}
    address = {"method": "POST", "url": "/v1/images/generations"}
    lines = [json.dumps({"custom_id": f"k{n}", **address, "body": body}) for n in range(3)]
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint="/v1/images/generations", completion_window="24h"
    )
    done = until(lambda job: job.status == "completed", lambda: client.batches.retrieve(made.id))
    text = client.files.content(done.output_file_id).text
    return sorted(json.loads(line)["custom_id"] for line in text.splitlines())


def files(client: Any) -> object:
    names = [file.filename for file in client.files.list()]
    file = next(iter(client.files.list()))
    return (
        names[-1],
        client.files.retrieve(file.id).id == file.id,
        client.files.delete(file.id).deleted,
    )


def batches(client: Any) -> object:
    return [job.status for job in client.batches.list(limit=1)]


def models(client: Any) -> object:
    return MODEL in [model.id for model in client.models.list()], client.models.retrieve(MODEL).id


TOOL: dict[str, Any] = {"type": "image_generation", "size": "1536x1024", "quality": "low"}


def respond(client: Any) -> object:
    made = client.responses.create(model="gpt-5.4", input="a cat", tools=[TOOL])
    images = [item.result for item in made.output if item.type == "image_generation_call"]
    return [size_of(base64.b64decode(image)) for image in images], made.output_text


def respond_later(client: Any) -> object:
    """Register a receiver, be told of the end, check the signature, and fetch the response."""
    with Receiver() as receiver:
        endpoint = client.post(
            "/webhook_endpoints",
            body={"name": "n", "url": receiver.url, "event_types": ["response.completed"]},
            cast_to=object,
        )
        made = client.responses.create(
            model="gpt-5.4", input="a cat", tools=[TOOL], background=True
        )
        headers, body = receiver.webhooks.get(timeout=30)
    event = client.webhooks.unwrap(body, headers, secret=endpoint["signing_secret"])
    done = client.responses.retrieve(event.data.id)
    return made.status, event.type, done.id == made.id, done.status, len(done.output)


def cancel_a_response(client: Any) -> object:
    text = "take your time"
    made = client.responses.create(model="gpt-5.4", input=text, tools=[TOOL], background=True)
    return client.responses.cancel(made.id).status


def a_wrong_key(client: Any) -> object:
    return refusal(client.with_options(api_key="sk-wrong"), MODEL, "a cat")


def a_wrong_model(client: Any) -> object:
    return refusal(client, "dall-e-9", "a cat")


def a_refused_prompt(client: Any) -> object:
    return refusal(client, MODEL, "please refuse")


def too_many_requests(client: Any) -> object:
    return refusal(client, MODEL, "please hurry")


def refusal(client: Any, model: str, text: str) -> object:
    try:
        return client.images.generate(model=model, prompt=text)
    except openai.APIStatusError as exc:
        return type(exc).__name__, exc.code, exc.response.headers.get("retry-after")


if __name__ == "__main__":
    url, key = sys.argv[1:]
    run(
        openai.OpenAI(base_url=url, api_key=key, max_retries=0),
        *(generate, generate_a_link, edit, batch, files, batches, models),
        *(respond, respond_later, cancel_a_response),
        *(a_wrong_key, a_wrong_model, a_refused_prompt, too_many_requests),
    )
