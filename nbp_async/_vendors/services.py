"""Services that make an image as a task: where to submit and to poll, and what the words mean.

One table a service, and no code: a new service is a new table. `services.toml` has those we know.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import Seconds, check_fields
from nbp_async._base.http import Billing
from nbp_async._base.suggestions import suggest
from nbp_async._base.text import printable
from nbp_async._base.toml_text import parse_toml, read_toml

ResponseFormat = Literal["url", "b64_json"]
"""What an answer of the images API holds: links, or base64."""


class TaskTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one service accepts tasks and reports on them.

    Paths of requests begin at the profile's base URL; `{id}` and `{model}` stand for their values.
    Places in answers are names joined by dots: `data[].url` is the `url` of every item of `data`,
    and `resultJson|json.urls[]` looks into JSON that was written into a string. Of a list of
    places the first that holds something counts.

    Attributes:
        submit: Path that a task is posted to.
        edit: The same once there are references; "" for `submit`.
        look: Path that is polled for the state of a task.
        cancel: Method and path that cancel one, or "" where the service cannot.
        look_url, cancel_url, result_url: Places in the answers that name addresses to use instead;
            `result_url` is where a finished task's result is. Only addresses at the profile's own
            host are followed, for the key goes with them.
        id: Places of the task's id, in the answer to the submit and to a poll.
        state: Places of its state. Words are compared without regard to case.
        pending, done, failed: What the states are called. An unknown word belongs to none of these.
        images: Places of base64 text in the result.
        links: Places of links (or `data:` addresses) in the result.
        error, code: Places of the words and of the code of a failure.
        status: Place of a status code that the body has, where HTTP always says 200; or "".
        eta: Places of the seconds that it should take.
        usual: Seconds that a task usually takes, by size; until the first have ended here. Where
            nothing is known: 60 for 1K, 85 for 2K, 135 for 4K.
        passing: Codes of failures that may pass: tried again if nothing was billed.
        billed_failed: What is billed for a task that failed: "no", "maybe" or "yes".
        callback: Field of the body that takes the address of a webhook, or "" (see `body`).
        signs: How it signs its webhooks, as `Webhook.scheme` calls it, or "" where that differs.
        body: The body to post; strings such as `"{prompt}"` are replaced by their values, and left
            out with their names where there is none: prompt, model, size ("4K"), aspect_ratio,
            pixels ("4096x4096"), quality, seed, references (links or data: addresses), callback,
            response_format ("url"). Empty for the body of the held call at `/images/generations`.
        query: The same for the query of the address.
        extra: Name of the part of the body that the prompt's `extra` goes into; "" for the top.
    """

    submit: str
    look: str
    edit: str = ""
    cancel: str = ""
    look_url: str = ""
    cancel_url: str = ""
    result_url: str = ""
    id: tuple[str, ...] = ("task_id", "id")
    state: tuple[str, ...] = ("status", "state")
    pending: tuple[str, ...] = (
        "pending",
        "queued",
        "in_queue",
        "queuing",
        "waiting",
        "submitted",
        "starting",
        "created",
        "not_start",
        "processing",
        "running",
        "in_progress",
        "generating",
        "cancelling",
        "working",
        "rendering",
        "accepted",
        "scheduled",
    )
    done: tuple[str, ...] = ("completed", "succeeded", "success", "done", "finished")
    failed: tuple[str, ...] = (
        "failed",
        "fail",
        "failure",
        "error",
        "cancelled",
        "canceled",
        "expired",
        "timeout",
        "timed_out",
        "rejected",
        "aborted",
    )
    images: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    error: tuple[str, ...] = ("error.message", "error", "message")
    code: tuple[str, ...] = ("error.code",)
    status: str = ""
    eta: tuple[str, ...] = ()
    usual: dict[str, Seconds] = {}
    passing: tuple[str, ...] = ()
    billed_failed: Billing = "maybe"
    callback: str = ""
    signs: str = ""
    body: dict[str, Any] = {}
    query: dict[str, str] = {}
    extra: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        if not (self.images or self.links):
            raise ConfigError("A task table without images and links has no place for a result.")
        if "{id}" not in self.look:
            raise ConfigError("the path needs {id}, the task's id.", option="look", value=self.look)
        method, _, path = self.cancel.partition(" ")
        if self.cancel and (method not in ("POST", "PUT", "GET") or not path.startswith("/")):
            raise ConfigError(
                'give a method and a path, such as "POST /tasks/{id}/cancel".',
                option="cancel",
                value=self.cancel,
            )
        if not all(path.startswith("/") for path in (self.submit, self.look)):
            raise ConfigError("The paths submit and look begin with a slash.")

    @property
    def calls_back(self) -> bool:
        """It can be given the address of a webhook."""
        return bool(self.callback) or "{callback}" in repr((self.body, self.query))


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service as a file describes it: a table, and where and as whom to reach it."""

    tasks: TaskTable
    base_url: str = ""
    model: str = "nano-banana-pro"
    auth: Literal["bearer", "x-goog-api-key", "key"] = "bearer"
    size_style: Literal["pixels", "tier"] = "pixels"
    response_format: ResponseFormat | None = "url"
    key_names: tuple[str, ...] = ()
    link_lifetime: float | None = None
    held: bool = False


_ITS_OWN = ("base_url", "key_names")
"""What a service that speaks like another does not share with it."""


def read_service(path: Path) -> Service:
    """A service from a TOML file of your own; with `like = "sub2api"` one that speaks as that does.

    Raises:
        ConfigError: It cannot be read, or is no such table.
    """
    where, fields = printable(str(path)), read_toml(path)
    like = fields.get("like", "")
    if not isinstance(like, str) or (like and like not in _tables()):
        near = suggest(str(like), _tables())
        raise ConfigError(f"{where}: no service is called {like!r}: {near}nbp help service-files.")
    speaks = {name: line for name, line in _tables().get(like, {}).items() if name not in _ITS_OWN}
    own = {name: line for name, line in fields.items() if name != "like"}
    return _service({**speaks, **own}, where)


@cache
def services() -> Mapping[str, Service]:
    """Those we know, by name. Read once."""
    return {name: _service(fields, f"services.toml, {name}") for name, fields in _tables().items()}


@cache
def _tables() -> Mapping[str, Mapping[str, Any]]:
    text = (Path(__file__).parent / "services.toml").read_text("utf-8")
    return parse_toml(text, "services.toml")


def _service(fields: Mapping[str, Any], where: str) -> Service:
    """Sort flat fields into those of the service and those of its table."""
    own = {name for name in Service.__struct_fields__ if name != "tasks"}
    known = own | set(TaskTable.__struct_fields__)
    for name in fields:
        if name not in known:
            near = suggest(name, known)
            raise ConfigError(f"{where}: no line is called {name!r}: {near}nbp help service-files.")
    try:
        return msgspec.convert(
            {name: value for name, value in fields.items() if name in own}
            | {"tasks": {name: value for name, value in fields.items() if name not in own}},
            Service,
        )
    except msgspec.ValidationError as exc:
        # The file is flat: its author knows of no `tasks`.
        words = str(exc).replace(" - at `$.tasks`", "").replace("`$.tasks.", "`")
        words = words.removesuffix(" Nothing was sent.").rstrip(".")
        raise ConfigError(f"{where}: {words}.") from None
