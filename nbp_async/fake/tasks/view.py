"""Tasks as they are ordered and as they are shown."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from nbp_async._http import Usage
from nbp_async.fake.answers import Body
from nbp_async.fake.asks import Ask, check_count, read_openai

State = Literal["pending", "processing", "completed", "failed", "cancelled"]


class Order(msgspec.Struct, frozen=True):
    """What a submit asks for.

    Attributes:
        ask: The work.
        callback: Where its webhook goes, or "".
        events: Which events go there; None for the service's own choice.
        note: What the service gives back with its events, untouched.
        kept: The document or form, fit to be kept.
    """

    ask: Ask
    callback: str = ""
    events: tuple[str, ...] | None = None
    note: object = None
    kept: object = None


class View(msgspec.Struct, frozen=True):
    """A task as it is shown: services put this into their words.

    Attributes:
        id: Its id, or the one that is told.
        order: What was asked.
        state: Where it stands.
        name: The state's name, where it is to be another than the service's own.
        progress: Percent.
        body: The result as a held call would answer it, when it is completed.
        links: Where its images are; none where they are in `body`.
        texts: Its images as base64 text, each in pieces; none where there are links.
        usage: The tokens it counted as, where they are counted.
        code: Why it failed, in a word; or "".
        message: Why it failed.
        made: Seconds since 1970.
        ended: The same; None while it runs.
        root: The server's own address.
    """

    id: str
    order: Order
    state: State
    name: str | None
    progress: int
    body: Body | None
    links: Sequence[str]
    texts: Sequence[Sequence[bytes]]
    usage: Usage | None
    code: str
    message: str
    made: float
    ended: float | None
    root: str

    @property
    def over(self) -> bool:
        """It has ended, well or badly."""
        return self.state in ("completed", "failed", "cancelled")


def begun(view: View) -> View:
    """The same task when somebody had just begun to work on it."""
    return msgspec.structs.replace(
        view, state="processing", progress=0, body=None, links=(), texts=(), usage=None, code="",
        message="", ended=None,
    )  # fmt: skip


def ask_of(
    fields: Mapping[str, object], *, model: object, size: object, ratio: object, references: str,
    images: object = 1,
) -> Ask:  # fmt: skip
    """What is asked of a service that hands out links, and names sizes and shapes apart.

    Args:
        fields: Where `prompt` and `output_format` stand.
        model: The model; what stands before a slash is whose it is.
        size: "1K", "2K" or "4K"; None for "1K".
        ratio: Such as "16:9"; None for the model's own choice.
        references: Name of the field with the addresses of images.
        images: How many are wanted.

    Raises:
        RefusalError: The vendor would not take it.
    """
    known: dict[str, object] = {
        "model": str(model or "nano-banana-pro").rpartition("/")[2], "prompt": fields.get("prompt"),
        "size": size or "1K", "n": images,
        "aspect_ratio": "auto" if ratio in (None, "match_input_image") else ratio,
    }  # fmt: skip
    kind = fields.get("output_format")
    if kind is not None:
        known["output_format"] = "jpeg" if kind == "jpg" else kind
    given = fields.get(references)
    ask = read_openai(known, len(given) if isinstance(given, list) else 0)
    check_count(ask)
    return msgspec.structs.replace(ask, link=True)


def callback_of(fields: Mapping[str, object], name: str) -> str:
    """The address of a webhook in these fields, or ""."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def when(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
