"""What people do with frameworks that make images: arguments are the base URL and the key."""

import base64
import sys
from typing import Any

from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent, BinaryImage
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.loopback.fake.sdk_calls.calls import run, size_of

GOOGLE = "gemini-3-pro-image"
TOOL = {"type": "image_generation", "size": "1536x1024", "quality": "low"}


def pydantic_ai_with_google(at: Any) -> object:
    model = GoogleModel(GOOGLE, provider=GoogleProvider(api_key=at["key"], base_url=at["url"]))
    made = Agent(model, output_type=BinaryImage).run_sync("a cat")
    return size_of(made.output.data), made.usage.output_tokens


def pydantic_ai_with_openai(at: Any) -> object:
    provider = OpenAIProvider(base_url=f"{at['url']}/v1", api_key=at["key"])
    model = OpenAIResponsesModel("gpt-5.4", provider=provider)
    return size_of(Agent(model, output_type=BinaryImage).run_sync("a cat").output.data)


def langchain_with_google(at: Any) -> object:
    model = ChatGoogleGenerativeAI(
        model=GOOGLE, api_key=at["key"], base_url=at["url"], max_retries=0
    )
    config = {"response_modalities": ["TEXT", "IMAGE"]}
    made = model.invoke("a cat", generation_config=config)
    return images_of(made), made.usage_metadata["total_tokens"]


def langchain_with_openai(at: Any) -> object:
    model = ChatOpenAI(
        model="gpt-5.4",
        base_url=f"{at['url']}/v1",
        api_key=at["key"],
        use_responses_api=True,
        max_retries=0,
    )
    return images_of(model.bind_tools([TOOL]).invoke("a cat"))


def images_of(message: Any) -> list[str]:
    blocks = [block for block in message.content_blocks if block["type"] == "image"]
    return [size_of(base64.b64decode(block["base64"])) for block in blocks]


if __name__ == "__main__":
    run(
        dict(zip(("url", "key"), sys.argv[1:], strict=True)),
        *(pydantic_ai_with_google, pydantic_ai_with_openai),
        *(langchain_with_google, langchain_with_openai),
    )
