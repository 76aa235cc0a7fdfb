"""Answers as vendors and relays write them, fed whole, byte by byte, and cut short."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nbp_async._base.errors import (
    ContentBlockedError,
    MalformedReplyError,
    NoImageError,
    RefusedError,
)
from nbp_async._base.http import ReplyHead, Usage
from nbp_async._dialects.base import Answer, Dialect, ImageText
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.openai_images import OpenAIImages
from nbp_async._images.base64_stream import Base64Stream
from nbp_async._images.sniff import ImageFacts, ImageSniffer
from nbp_async._vendors.profiles import Profile

GOLDEN = Path(__file__).parent / "golden"
RELAY = Profile(name="relay", base_url="https://relay.example/v1")


class Read(NamedTuple):
    """An answer, and what its wanted image is."""

    answer: Answer
    facts: ImageFacts | None


def dialect_of(name: str) -> Dialect:
    return GeminiNative() if "gemini" in name else OpenAIImages()


def read(name: str, pieces: Iterator[bytes]) -> Read:
    decoder = dialect_of(name).decoder()
    texts: dict[int, Base64Stream] = {}
    images: dict[int, ImageSniffer] = {}
    for piece in pieces:
        assert not decoder.complete or not piece.strip()
        for part in decoder.feed(piece):
            text = texts.setdefault(part.image, Base64Stream())
            image = images.setdefault(part.image, ImageSniffer())
            image.feed(text.feed(part.text) if isinstance(part, ImageText) else text.close())
    answer = decoder.close()
    assert decoder.complete
    return Read(answer, images[answer.images[0]].close() if answer.images else None)


def cut_up(body: bytes, step: int) -> Iterator[bytes]:
    return (body[i : i + step] for i in range(0, len(body), step))


LINK = "https://img.relay.example/f/2026/11/23/9b1c.png?Expires=1794604803&Signature=a%2Bb"
OSS = (
    "https://nb-images.oss-us-west-1.aliyuncs.com/2026/11/c41d.png"
    "?Expires=1794090000&OSSAccessKeyId=LT&Signature=x%3D"
)
ANSWERS = {
    "openai_b64.json": Read(
        Answer(images=(0,), usage=Usage(17, 4160, 0, 4177), quality="high"),
        ImageFacts("png", 48, 27),
    ),
    "relay_php.json": Read(
        Answer(images=(0,), usage=Usage(17, 1120, 0, 1137)), ImageFacts("jpeg", 40, 40)
    ),
    "relay_dotnet.json": Read(
        Answer(images=(0,), model="nano-banana-pro-2k", request_id="img-7f3c"),
        ImageFacts("png", 48, 27),
    ),
    "relay_data_url.json": Read(Answer(images=(0,)), ImageFacts("webp", 32, 18)),
    "relay_link.json": Read(Answer(links=(LINK,)), None),
    "gemini_image.json": Read(
        Answer(
            images=(1,),
            text="Here is your bicycle — red, as you asked.",
            usage=Usage(21, 1120, 83 + 367, 1591),
            model="gemini-3-pro-image",
            request_id="Zk0jaYrTLw",
        ),
        ImageFacts("jpeg", 40, 40),
    ),
    "gemini_all_thoughts.json": Read(
        Answer(images=(1,), usage=Usage(21, 1120, 83 + 367, 1591), model="gemini-3-pro-image"),
        ImageFacts("png", 48, 27),
    ),
    "gemini_snake.json": Read(
        Answer(
            images=(0,),
            usage=Usage(9, 1120, 0, 1129),
            model="gemini-3-pro-image-preview",
            request_id="r-2",
        ),
        ImageFacts("png", 48, 27),
    ),
    "gemini_link.json": Read(
        Answer(links=(OSS,), text=f"![image]({OSS})", usage=Usage(21, 1120, 0, 1141)), None
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_means_the_same_in_any_pieces(name: str) -> None:
    body = (GOLDEN / name).read_bytes()
    for step in (len(body), 1, 2, 3, 7, 64, 500):
        assert read(name, cut_up(body, step)) == ANSWERS[name]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_cut_short_is_never_taken_for_whole(name: str) -> None:
    body = (GOLDEN / name).read_bytes().rstrip()
    for length in range(len(body)):
        with pytest.raises(MalformedReplyError):
            read(name, iter([body[:length]]))


WITHOUT_IMAGE: dict[str, tuple[type[NoImageError], str, str, Usage | None]] = {
    "relay_empty.json": (NoImageError, "no_image", "upstream returned no image", None),
    "gemini_prompt_blocked.json": (
        ContentBlockedError,
        "PROHIBITED_CONTENT",
        "",
        Usage(33, 0, 0, 33),
    ),
    "gemini_image_safety.json": (
        ContentBlockedError,
        "IMAGE_SAFETY",
        "Unable to show the generated image. Try rephrasing the prompt: https://ai.example/policy",
        Usage(33, 1120, 247, 1400),
    ),
    "gemini_words.json": (
        NoImageError,
        "STOP",
        "I can describe a bicycle, but I did not draw one.",
        Usage(33, 0, 14, 47),
    ),
}


@pytest.mark.parametrize("name", WITHOUT_IMAGE)
def test_a_success_without_an_image_says_why_and_what_it_cost(name: str) -> None:
    kind, reason, text, usage = WITHOUT_IMAGE[name]
    body = (GOLDEN / name).read_bytes()
    for step in (len(body), 1):
        with pytest.raises(NoImageError) as caught:
            read(name, cut_up(body, step))
        error = caught.value
        assert (type(error), error.reason, error.text) == (kind, reason, text)
        assert error.usage == usage


REFUSALS = {
    "openai_key.json": (401, "AuthError", "invalid_api_key", None, "Incorrect API key provided"),
    "openai_quota.json": (429, "QuotaError", "insufficient_quota", None, "current quota"),
    "openai_moderation.json": (
        400,
        "InvalidRequestError",
        "moderation_blocked",
        None,
        "safety system",
    ),
    "gemini_minute.json": (
        429,
        "RateLimitError",
        "RESOURCE_EXHAUSTED",
        37.4,
        "generate_requests_per_model",
    ),
    "gemini_day.json": (429, "QuotaError", "RESOURCE_EXHAUSTED", 12.0, "current quota"),
    "gemini_key.json": (400, "AuthError", "INVALID_ARGUMENT", None, "API key not valid"),
    "gemini_overloaded.json": (503, "OverloadedError", "UNAVAILABLE", None, "overloaded"),
    "relay.json": (429, "RateLimitError", "get_channel_failed", None, "上游负载已饱和"),
    "validation.json": (
        422,
        "InvalidRequestError",
        "value_error",
        None,
        "value is not a valid size",
    ),
    "proxy.html": (524, "ServerError", "", None, "an HTML page, relay.example | 524"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_finds_its_class_its_code_and_its_words(name: str) -> None:
    status, kind, code, retry_after, words = REFUSALS[name]
    body = (GOLDEN / f"refusal_{name}").read_bytes()
    error = dialect_of(name).refusal(ReplyHead(status, {}), body, RELAY)
    assert isinstance(error, RefusedError)
    assert (type(error).__name__, error.code, error.retry_after) == (kind, code, retry_after)
    assert words in str(error)
    assert "abcdefABCDEF" not in str(error)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_that_is_cut_short_is_still_one(name: str) -> None:
    status = REFUSALS[name][0]
    body = (GOLDEN / f"refusal_{name}").read_bytes()
    for length in range(len(body)):
        error = dialect_of(name).refusal(ReplyHead(status, {}), body[:length], RELAY)
        assert error.status == status
        assert "abcdefABCDEF" not in str(error)


def test_every_golden_file_is_read() -> None:
    named = {*ANSWERS, *WITHOUT_IMAGE, *(f"refusal_{name}" for name in REFUSALS)}
    assert {path.name for path in GOLDEN.iterdir()} == named
