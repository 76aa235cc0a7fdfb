"""What people do with Google's SDK: arguments are the base URL and the key."""

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from google import genai
from google.genai import errors, types

from tests.loopback.fake.sdk_calls.calls import run, size_of, until

MODEL = "gemini-3-pro-image"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def images_of(answer: Any) -> list[str]:
    parts = answer.candidates[0].content.parts or []
    return [size_of(part.inline_data.data) for part in parts if part.inline_data]


def config(**values: Any) -> Any:
    return types.GenerateContentConfig(**values)


def generate(client: Any) -> object:
    image = types.ImageConfig(aspect_ratio="16:9", image_size="2K")
    answer = client.models.generate_content(
        model=MODEL, contents="a cat", config=config(image_config=image)
    )
    return images_of(answer), answer.usage_metadata.candidates_token_count


def images_only(client: Any) -> object:
    answer = client.models.generate_content(
        model=MODEL, contents="a cat", config=config(response_modalities=["IMAGE"])
    )
    return len(answer.candidates[0].content.parts)


def edit(client: Any) -> object:
    part = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    answer = client.models.generate_content(model=MODEL, contents=[part, part, "a hat"])
    details = answer.usage_metadata.prompt_tokens_details
    return images_of(answer), [one.token_count for one in details]


def stream(client: Any) -> object:
    thinking = types.ThinkingConfig(include_thoughts=True)
    chunks = client.models.generate_content_stream(
        model=MODEL, contents="a cat", config=config(thinking_config=thinking)
    )
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    return [("image" if p.inline_data else "text", bool(p.thought)) for p in parts]


def chat(client: Any) -> object:
    talk = client.chats.create(model=MODEL)
    talk.send_message("a cat")
    return images_of(talk.send_message("with a hat"))


def files(client: Any) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cat.png"
        path.write_bytes(PIXEL)
        file = client.files.upload(file=path)
    answer = client.models.generate_content(model=MODEL, contents=[file, "a hat"])
    known = [one.name for one in client.files.list()] == [file.name]
    same = client.files.get(name=file.name).name == file.name
    client.files.delete(name=file.name)
    try:
        code = client.models.generate_content(model=MODEL, contents=[file, "a hat"])
    except errors.ClientError as exc:
        code = exc.code
    return images_of(answer), known, same, code


def batch_inline(client: Any) -> object:
    asked = [types.InlinedRequest(contents=text, metadata={"key": text}) for text in ("a", "b")]
    job = over(client, client.batches.create(model=MODEL, src=asked))
    return job.state.name, len(job.dest.inlined_responses)


def batch_of_a_file(client: Any) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl"
        request = {"contents": [{"parts": [{"text": "a cat"}]}]}
        path.write_text("".join(json.dumps({"key": k, "request": request}) + "\n" for k in "ab"))
        upload = types.UploadFileConfig(display_name="in", mime_type="jsonl")
        file = client.files.upload(file=path, config=upload)
    job = over(client, client.batches.create(model=MODEL, src=file.name))
    text = client.files.download(file=job.dest.file_name)
    return sorted(json.loads(line)["key"] for line in text.splitlines())


def over(client: Any, job: Any) -> Any:
    return until(lambda job: bool(job.done), lambda: client.batches.get(name=job.name))


def count_tokens(client: Any) -> object:
    return client.models.count_tokens(model=MODEL, contents="a cat").total_tokens


def models(client: Any) -> object:
    listed = list(client.models.list(config={"page_size": 2}))
    return f"models/{MODEL}" in [m.name for m in listed], client.models.get(model=MODEL).name


def vertex(client: Any) -> object:
    options = types.HttpOptions(base_url=sys.argv[1])
    with_key = genai.Client(vertexai=True, api_key=sys.argv[2], http_options=options)
    return images_of(with_key.models.generate_content(model=MODEL, contents="a cat"))


def a_wrong_key(client: Any) -> object:
    options = types.HttpOptions(base_url=sys.argv[1])
    wrong = genai.Client(api_key="wrong", http_options=options)
    return refusal(wrong, MODEL, "a cat")


def a_wrong_model(client: Any) -> object:
    return refusal(client, "gemini-9", "a cat")


def a_refused_prompt(client: Any) -> object:
    answer = client.models.generate_content(model=MODEL, contents="please refuse")
    return answer.prompt_feedback.block_reason.name


def too_many_requests(client: Any) -> object:
    return refusal(client, MODEL, "please hurry")


def refusal(client: Any, model: str, text: str) -> object:
    try:
        return client.models.generate_content(model=model, contents=text)
    except errors.APIError as exc:
        details = exc.details["error"].get("details", [])
        return exc.code, exc.status, [one["@type"].rpartition(".")[2] for one in details]


if __name__ == "__main__":
    url, key = sys.argv[1:]
    run(
        genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url)),
        *(generate, images_only, edit, stream, chat, files, batch_inline, batch_of_a_file),
        *(count_tokens, models, vertex),
        *(a_wrong_key, a_wrong_model, a_refused_prompt, too_many_requests),
    )
