"""A job, and what tests of dialects do with requests and answers."""

import json
from decimal import Decimal
from typing import Any

from nbp_async._base.http import HttpRequest
from nbp_async._dialects.base import Answer, Dialect
from nbp_async._models.outcomes import Job, Prompt, Reference
from nbp_async._vendors.profiles import PROFILES, Profile
from nbp_async._vendors.sizes import Canvas

OPENAI = Profile(name="relay", base_url="https://relay.example/v1")


GOOGLE = PROFILES["google"]


KEY = "sk-canary-0123456789abcdef"


PNG = Reference(mime="image/png", data=b"\x89PNG....")


def job(text: str = "a red bicycle", **options: Any) -> Job:
    canvas = options.pop("canvas", Canvas("2K", "16:9", (2752, 1536)))
    model = options.pop("model", "gemini-3-pro-image")
    prompt = Prompt(text=text, **options)
    return Job(0, prompt, 0, model, canvas, Decimal(1), Decimal(1))


def body_of(request: HttpRequest) -> Any:
    return json.loads(request.body)


def close(dialect: Dialect, document: object) -> Answer:
    decoder = dialect.decoder()
    decoder.feed(json.dumps(document).encode())
    return decoder.close()
