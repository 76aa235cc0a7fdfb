"""The table of task services: `task_services.toml`, read and checked."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from nbp_async.fake.api_errors import ApiStyle
from nbp_async.fake.signing import Scheme

Verb = Literal[
    "submit",
    "edit",
    "run",
    "poll",
    "events",
    "result",
    "list",
    "cancel",
    "delete",
    "keys",
    "secret",
]
"""What a request wants; "run" is a submit that is held until its result, "events" a poll that
is answered with each new state as it comes."""
TaskState = Literal["pending", "processing", "completed", "failed", "cancelled"]
Document = str | dict[str, object]
"""A template for `document_template`, or the name of another document or part."""


class RequiredObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field that must hold an object, and what the service says when it does not."""

    field: str
    missing: str


class SubmitTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a submit has what; paths such as "body.input.prompt", "path.model", "query.name".

    Attributes:
        form: "images" for the images API's own body, "interactions" for Google's, "responses" for
            OpenAI's; "fields" for one that the paths describe.
        object: A field without which nothing can be read.
        model: The model; of several paths the first that is there.
        size: "1K", "2K" or "4K".
        ratio: Such as "16:9".
        references: A list of images' addresses.
        count: How many images are wanted.
        format: The file format.
        callback: Where the webhook goes.
        events: The events that the webhook is wanted for.
        links: The images are delivered as links, whatever was asked.
    """

    form: Literal["fields", "images", "interactions", "responses"] = "fields"
    object: RequiredObject | None = None
    model: str | tuple[str, ...] = ""
    prompt: str = ""
    size: str = ""
    ratio: str = ""
    references: str = ""
    count: str = ""
    format: str = ""
    callback: str = ""
    events: str = ""
    links: bool = False


class ServiceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service.

    Attributes:
        base: The path of the base URL that a client is given.
        style: How it writes errors, and where it looks for the key.
        id: A task's id, made of `{digest}` (32 hexadecimal digits) or `{uuid}`.
        routes: Method and address of each verb; a part in round brackets may be missing.
        reads: What a submit says.
        submitted: The answer to a submit.
        polled: The answer to a poll.
        result: The answer at the address of a result, where it has its own.
        cancelled: The answer to a cancel.
        event: What a webhook says.
        parts: Pieces of documents, by the name that documents use.
        states: The service's own words for the states of a task.
        statuses: HTTP statuses by answer and condition; the first condition that holds counts.
        signs: How webhooks are signed.
        events: What webhooks are sent for, from a task's start to its end.
        holds: The most simulated seconds that a submit is held that prefers to wait for its result.
    """

    base: str
    style: ApiStyle
    id: str
    routes: dict[Verb, str | list[str]]
    reads: SubmitTable
    submitted: Document
    polled: Document
    result: Document = "polled"
    cancelled: Document = "polled"
    event: Document = "polled"
    parts: dict[str, object] = {}
    states: dict[TaskState, str] = {}
    statuses: dict[str, dict[str, int]] = {}
    signs: Scheme = "none"
    events: tuple[str, ...] = ()
    holds: float = 0.0


class TaskRoute(msgspec.Struct, frozen=True):
    """What a request wants of a service; `params` are the names in the address."""

    verb: Verb
    params: dict[str, str]

    @property
    def submits(self) -> bool:
        return self.verb in ("submit", "edit", "run")

    @property
    def task(self) -> str:
        """The task's id."""
        return self.params.get("id", "")


class RoutePattern:
    """An address as the table has it: "GET /kie/api/v1/jobs/recordInfo?taskId={id}"."""

    def __init__(self, verb: Verb, text: str) -> None:
        self._verb = verb
        self._method, _, address = text.partition(" ")
        path, _, query = address.partition("?")
        optional = re.sub(r"\((.*?)\)", r"(?:\1)?", path.replace(".", r"\."))
        self._path = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[\\w-][\\w.-]*)", optional))
        self._query = dict(item.split("=") for item in filter(None, [query]))

    def match(self, method: str, path: str, query: Mapping[str, str]) -> TaskRoute | None:
        """What this request wants; None if the address is another."""
        known = self._path.fullmatch(path) if method == self._method else None
        if known is None:
            return None
        params = {name: value for name, value in known.groupdict().items() if value is not None}
        for name, wanted in self._query.items():
            given = query.get(name, "")
            if wanted.startswith("{"):
                params[wanted.strip("{}")] = given
            elif given.lower() != wanted:
                return None
        return TaskRoute(self._verb, params)


@cache
def service_tables() -> Mapping[str, ServiceTable]:
    """All services by name."""
    text = Path(__file__).with_name("task_services.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, ServiceTable])
