"""A task service: its table, put to work. It keeps nothing; the tasks are the engine's."""

import math
import uuid
from collections.abc import Mapping
from typing import Literal

import msgspec
from aiohttp import web

from nbp_async.fake.json_fields import whole_number
from nbp_async.fake.payloads import Payload
from nbp_async.fake.tasks.document_template import DocumentFiller
from nbp_async.fake.tasks.service_table import RoutePattern, ServiceTable, TaskRoute
from nbp_async.fake.tasks.submission import Submission, read_submission
from nbp_async.fake.tasks.task_view import IMAGES, TaskView

Answer = Literal["submitted", "polled", "result", "cancelled", "event"]


class TaskReply(msgspec.Struct, frozen=True):
    """An answer. `delivers` says that the images are in it, or their links."""

    payload: Payload
    status: int
    delivers: bool


class TaskService:
    """One vendor's task API.

    Attributes:
        name: Its name in the table.
        style: How it writes errors.
        signs: How its webhooks are signed.
        events: What it sends webhooks for, from a task's start to its end.
        subscribes: Its webhooks go where the account has said, and no submit says it.
    """

    def __init__(self, name: str, table: ServiceTable) -> None:
        self.name = name
        self.style = table.style
        self.signs = table.signs
        self.events = table.events
        self.subscribes = table.signs != "none" and not table.reads.callback
        self._table = table
        self._patterns = [
            RoutePattern(verb, text)
            for verb, texts in table.routes.items()
            for text in ([texts] if isinstance(texts, str) else texts)
        ]

    def id_of(self, digest: str) -> str:
        """The id of a task, made from 32 hexadecimal digits."""
        return self._table.id.format(digest=digest, uuid=uuid.UUID(digest))

    def find_route(self, method: str, path: str, query: Mapping[str, str]) -> TaskRoute | None:
        """What this request wants here; None if the address is not this service's."""
        routes = (pattern.match(method, path, query) for pattern in self._patterns)
        return next(filter(None, routes), None)

    async def read(self, route: TaskRoute, request: web.BaseRequest) -> Submission:
        """What a submit asks for.

        Raises:
            ApiError: The vendor would not take it.
            ConnectionError: The client left in the middle of it.
        """
        return await read_submission(self._table.reads, route, request)

    def hold_of(self, submission: Submission, headers: Mapping[str, str]) -> float:
        """Simulated seconds that a submit is held for its result; 0 if it is answered at once."""
        if submission.held:
            return math.inf
        wanted, _, seconds = headers.get("Prefer", "").partition("=")
        if wanted.strip() != "wait":
            return 0.0
        return min(whole_number(seconds.strip()) or math.inf, self._table.holds)

    def reply(self, answer: Answer, task: TaskView, **also: object) -> TaskReply:
        """What the service says of a task; `also` are more values that its documents can name.

        These are `stopped`, if a cancel came in time, and `logs`, if they are wanted.
        """
        table = self._table
        document: object = getattr(table, answer)
        while isinstance(document, str):
            document = table.parts.get(document) or getattr(table, document)
        values = task.values(table.states.get(task.state, task.state)) | also
        filler = DocumentFiller(table.parts, values, IMAGES)
        payload = filler.payload(document)
        statuses = table.statuses.get(answer, {})
        chosen = (
            code for name, code in statuses.items() if name == "otherwise" or filler.holds(name)
        )
        return TaskReply(payload, next(chosen, 200), filler.has_images)
