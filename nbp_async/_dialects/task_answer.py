"""Reads what a task service answers to a submit or a poll. Pure.

the document has ...                     it is ...
a state that failed, or an error code    TaskFailedError, or ContentBlockedError
a result                                 the answer
"done" and another address of a result   a task whose result is to be asked for next, at once
"done" and neither                       NoImageError
an id, and a pending state or none       a task to poll again
anything else                            MalformedReplyError
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from nbp_async._base.errors import (
    ContentBlockedError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    TaskFailedError,
)
from nbp_async._base.http import ReplyHead, Usage
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import Answer
from nbp_async._dialects.image_strings import image_number
from nbp_async._dialects.json_path import find_text, find_values, list_paths
from nbp_async._dialects.openai_images import BLOCKED, read_usage
from nbp_async._dialects.reply_fields import (
    as_array,
    as_object,
    as_text,
    as_tokens,
    flatten,
    read_refusal,
    sanitize,
)
from nbp_async._vendors.profiles import Profile
from nbp_async._vendors.services import TaskTable

_CANCELLED = frozenset({"cancelled", "canceled"})
_LONGEST_ETA = 86400  # seconds

NOTHING_FOUND = "nothing found"
"""The reason of a `NoImageError` if a task is done and its image is not where it should be."""


class TaskAnswerReader:
    """Reads documents of one service by its table."""

    def __init__(self, profile: Profile, table: TaskTable) -> None:
        self._profile = profile
        self._table = table

    def read(self, document: object, known: Handle | None) -> Answer:
        """What the document says of the task; `known` is its handle, or None at its submit.

        Raises:
            RefusedError: The status code in the body is not a success.
            TaskFailedError: The task failed, or was cancelled.
            NoImageError: The task is done and has no image.
            MalformedReplyError: It names no task, another task, or a state that the table does
                not have.
        """
        document = next(iter(flatten(document)), None)  # some services wrap it in a list
        self._check_status(document)
        task = self._table
        handle = self._handle(document, known)
        state = find_text(document, task.state).lower()
        result = self._result(document)
        has_error = result is None and state in task.done and find_text(document, task.code)
        if state in task.failed or has_error:
            raise self._failure(document, state, handle)
        if result is not None and (state in task.done or not state or state not in task.pending):
            return result
        if state in task.done:
            if handle is not None and handle.result and handle.look != handle.result:
                return Answer(handle=msgspec.structs.replace(handle, look=handle.result), eta=0.0)
            raise NoImageError(
                f"{self._profile.name}: the task is done, and has no image"
                f"{_nothing_at(document, *task.images, *task.links)}.",
                reason=NOTHING_FOUND,
            )
        if handle is None:
            raise MalformedReplyError(
                f"{self._profile.name} accepted no task: the answer has no id"
                f"{_nothing_at(document, *task.id)}"
            )
        if state and state not in task.pending:
            raise MalformedReplyError(
                f"the task is {sanitize(state, 80)!r}, which is not among the pending, done and "
                f"failed states of {self._profile.name}"
            )
        return Answer(handle=handle, eta=self._eta(document))

    def _check_status(self, document: object) -> None:
        """Some services answer HTTP 200, and write the status into the body."""
        place = self._table.status
        code = find_text(document, [place]) if place else ""
        if code.isdigit() and not 200 <= int(code) < 300:
            body = msgspec.json.encode({"error": {"message": find_text(document, ["msg"])}})
            raise read_refusal(ReplyHead(int(code), {}), body, self._profile)

    def _handle(self, document: object, known: Handle | None) -> Handle | None:
        """What to poll the task by; None if the document does not name its id.

        Raises:
            MalformedReplyError: It is another task's, or names an address at another host.
        """
        task = self._table
        task_id = find_text(document, task.id)
        if known is not None:
            if task_id and task_id != known.id:
                raise MalformedReplyError(
                    f"The answer is about task {sanitize(task_id, 80)}, not ours."
                )
            task_id = known.id
        if not task_id:
            return None
        earlier = known or Handle("task", task_id)
        return Handle(
            "task",
            task_id,
            look=self._address(document, task.look_url) or earlier.look,
            cancel=self._address(document, task.cancel_url) or earlier.cancel,
            result=self._address(document, task.result_url) or earlier.result,
        )

    def _address(self, document: object, place: str) -> str:
        """An address that the service names. The key goes there, so it must be the same host."""
        url = find_text(document, [place]) if place else ""
        ours, theirs = urlsplit(self._profile.base_url), urlsplit(url)
        if url and (theirs.scheme, theirs.netloc) != (ours.scheme, ours.netloc):
            raise MalformedReplyError(
                f"{self._profile.name} names {sanitize(theirs.netloc, 80)} as the host to ask: the "
                f"key is sent to {ours.netloc} alone."
            )
        return url

    def _result(self, document: object) -> Answer | None:
        task = self._table
        images: list[int] = []
        links: list[str] = []
        for value in (*find_values(document, task.images), *find_values(document, task.links)):
            number = image_number(value)
            if number is not None:
                images.append(number)
            elif isinstance(value, str) and value:
                links.append(value)
        if not images and not links:
            return None
        usage = _read_usage(as_object(as_object(document).get("usage")))
        return Answer(images=tuple(images), links=tuple(links), usage=usage)

    def _eta(self, document: object) -> float | None:
        for value in find_values(document, self._table.eta):
            if isinstance(value, int | float) and 0 < value < _LONGEST_ETA:
                return float(value)
        return None

    def _failure(self, document: object, state: str, handle: Handle | None) -> NbpError:
        task, name = self._table, self._profile.name
        code = sanitize(find_text(document, task.code), 80)
        reason = sanitize(find_text(document, task.error), 500)
        task_id = handle.id if handle is not None else ""
        what = f"{name}: task {task_id} {'was cancelled' if state in _CANCELLED else 'failed'}"
        message = f"{what}: {reason or code or state}."
        if any(blocked in code.lower() for blocked in BLOCKED):
            return ContentBlockedError(message, reason=code, text=reason)
        is_transient = code in task.passing
        return TaskFailedError(
            message, task=task_id, billing=task.billed_failed, is_transient=is_transient
        )


def _nothing_at(document: object, *places: str) -> str:
    """Where the table looked, and what the answer has instead: a wrong table shows at once."""
    paths = ", ".join(sanitize(path, 80) for path in list_paths(document))
    return f" at {', '.join(places)}; it has {paths or 'nothing'}"


def _read_usage(usage: Mapping[str, object]) -> Usage | None:
    """Tokens in the words of the images API, or in those of Google's interactions."""
    if "total_output_tokens" not in usage:
        return read_usage(usage, made=True)
    output = as_tokens(usage["total_output_tokens"])
    kinds = [as_object(kind) for kind in as_array(usage.get("output_tokens_by_modality"))]
    image = sum(as_tokens(k.get("tokens")) for k in kinds if as_text(k.get("modality")) == "image")
    image = image if kinds else output
    return Usage(
        input_tokens=as_tokens(usage.get("total_input_tokens")),
        image_tokens=image,
        text_tokens=max(0, output - image) + as_tokens(usage.get("total_thought_tokens")),
        total_tokens=as_tokens(usage.get("total_tokens")),
    )
