"""A task as it is shown, and the values that documents can name."""

from collections.abc import Sequence

import msgspec

from nbp_async.fake.model_table import TokenCount, maker_of
from nbp_async.fake.payloads import Payload
from nbp_async.fake.pictures import MIME
from nbp_async.fake.tasks.document_template import Streamed
from nbp_async.fake.tasks.service_table import TaskState
from nbp_async.fake.tasks.submission import Submission
from nbp_async.fake.timestamps import iso_time

BLOCKED = "content_policy_violation"
"""The code of a task whose prompt is refused."""

_DAY = 24 * 3600.0

IMAGES = frozenset({"answer", "links", "texts", "output"})
"""The values that hold images."""


class TaskView(msgspec.Struct, frozen=True):
    """A task at one moment.

    Attributes:
        id: Its id, or the one that is shown.
        submission: What the submit asked for.
        state: Its state now.
        name: The state's name, if a fault gives it one that the service does not have.
        progress: Percent.
        answer: The result as a held call would answer it, if it is completed.
        links: Where its images are; none if they are in `texts`.
        texts: Its images as base64, each in pieces; none if there are links.
        tokens: What it took, where they are counted.
        code: Why it failed, in a word; or "".
        message: Why it failed.
        made: Seconds since 1970.
        ended: The same; None while it runs.
        started: When the work begins, or would have.
        root: The server's own address.
        left: Real seconds that it will probably take from now on; 0 when it is over.
    """

    id: str
    submission: Submission
    state: TaskState
    name: str | None
    progress: int
    code: str
    message: str
    made: float
    ended: float | None
    root: str
    started: float = 0.0
    left: float = 0.0
    answer: Payload | None = None
    links: Sequence[str] = ()
    texts: Sequence[Sequence[bytes]] = ()
    tokens: TokenCount | None = None

    def begun(self) -> "TaskView":
        """The same task when its work had just begun."""
        return msgspec.structs.replace(
            self,
            state="processing",
            progress=0,
            answer=None,
            links=(),
            texts=(),
            tokens=None,
            code="",
            message="",
            ended=None,
        )

    def values(self, word: str) -> dict[str, object]:
        """What documents can name; `word` is the service's own for the state."""
        spec = self.submission.spec
        width, height = spec.pixels
        completed = self.answer is not None
        error = {"code": self.code, "message": self.message}
        return {
            "null": None,
            "id": self.id,
            "root": self.root,
            "path": self.submission.params,
            "request": self.submission.kept,
            "model": spec.model,
            "maker": maker_of(spec.model),
            "width": width,
            "height": height,
            "images": spec.images,
            "quality": spec.quality,
            "format": spec.kind or "png",
            "mime": MIME[spec.kind or "png"],
            "state": self.name or word,
            "true_state": word,
            "progress": self.progress,
            "left": round(self.left, 3),
            "code": self.code or None,
            "message": self.message or None,
            "error": error if self.code else None,
            "failure": None if completed else error,
            **self._conditions(),
            **self._times(),
            **(self._images() if completed else dict.fromkeys(IMAGES)),
        }

    def _conditions(self) -> dict[str, object]:
        is_over = self.ended is not None
        return {
            "pending": self.state == "pending",
            "begun": self.state != "pending",
            "completed": self.answer is not None,
            "failed": bool(self.code),
            "blocked": self.code == BLOCKED,
            "cancelled": self.state == "cancelled",
            "over": is_over,
            "open": not is_over or self.name is not None,
        }

    def _times(self) -> dict[str, object]:
        ended, made = self.ended, self.made
        started = self.started if ended is None else min(self.started, ended)
        return {
            "created": int(made),
            "created_ms": int(made * 1000),
            "created_iso": iso_time(made),
            "expires": int((ended or made) + _DAY),
            "expires_iso": None if ended is None else iso_time(ended + _DAY),
            "ended": int(ended or 0),
            "ended_ms": None if ended is None else int(ended * 1000),
            "ended_iso": None if ended is None else iso_time(ended),
            "started_iso": None if self.state == "pending" else iso_time(started),
            "updated_iso": iso_time(ended or made),
            "duration": None if ended is None else ended - made,
            "duration_ms": None if ended is None else int(1000 * (ended - made)),
        }

    def _images(self) -> dict[str, object]:
        assert self.answer is not None
        links = list(self.links)
        return {
            "answer": Streamed(self.answer.pieces),
            "links": links,
            "output": links[0] if len(links) == 1 else links,
            "texts": [Streamed([b'"', *text, b'"']) for text in self.texts],
            "tokens": None if self.tokens is None else _tokens(self.tokens),
        }


def _tokens(tokens: TokenCount) -> dict[str, int]:
    return {
        "input": tokens.input,
        "prompt": tokens.prompt,
        "references": tokens.references,
        "output": tokens.output,
        "image": tokens.image,
        "thoughts": tokens.thoughts,
        "total": tokens.total,
    }
