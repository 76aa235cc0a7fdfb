"""What a task service is: addresses and words. What happens behind them is the desk's."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, Protocol

import msgspec
from aiohttp import web

from nbp_async.fake.answers import Body
from nbp_async.fake.refusals import Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.view import Order, View

Verb = Literal["submit", "look", "result", "cancel", "delete", "keys", "secret"]

HOLE = "\0result\0"
"""Stands in a document where a result belongs; see `filled`."""
_HOLE = msgspec.json.encode(HOLE)


class Stop(msgspec.Struct, frozen=True):
    """What a request wants of a service.

    Attributes:
        verb: What is to be done. "result" is a look at an address of its own;
            "keys" and "secret" ask for what webhooks are signed with.
        task: The task's id; "" for a submit.
        detail: What the service wants to remember of the address.
    """

    verb: Verb
    task: str = ""
    detail: str = ""


class Said(msgspec.Struct, frozen=True):
    """An answer. `result` says that the images are in it, or their links."""

    body: Body
    status: int = 200
    result: bool = False


class Service(Protocol):
    """One vendor's task API; it keeps nothing.

    Attributes:
        name: What it is called here.
        base: The path that all of its addresses begin with.
        voice: How it says no, and where it looks for the key.
        scheme: How it signs webhooks.
        events: What it sends a webhook for, where an order does not say.
    """

    name: str
    base: str
    voice: Voice
    scheme: Scheme
    events: tuple[str, ...]

    def name_of(self, digest: str) -> str:
        """The id of a task, made from 32 hexadecimal digits."""
        ...

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:
        """What this request wants here; None if the address is not this service's."""
        ...

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:
        """What a submit asks for.

        Raises:
            RefusalError: The vendor would not take it.
            ConnectionError: The client left in the middle of it.
        """
        ...

    def submitted(self, task: View) -> Said:
        """The answer to a submit."""
        ...

    def shown(self, stop: Stop, task: View) -> Said:
        """The answer to a look.

        Raises:
            RefusalError: There is nothing to show at this address.
        """
        ...

    def cancelled(self, task: View, *, took: bool) -> Said:
        """The answer to a cancel; it `took` if the task was still to be stopped."""
        ...

    def event(self, name: str, task: View) -> Said:
        """What a webhook says for one of `events`; its status means nothing."""
        ...


def told(document: object, status: int = 200, *, result: bool = False) -> Said:
    """This document as JSON."""
    return Said(Body([msgspec.json.encode(document)]), status, result)


def filled(document: object, *pieces: Sequence[bytes]) -> Said:
    """This document with its results in place of every `HOLE`; they are megabytes, and not copied.

    Whoever asks for a prompt that holds the text of a hole gets no sensible answer.
    """
    parts = msgspec.json.encode(document).split(_HOLE)
    body = [parts[0]]
    for part, piece in zip(parts[1:], pieces, strict=True):
        body += [*piece, part]
    return Said(Body(body), result=True)


def address(base: str, path: str, pattern: str) -> dict[str, str] | None:
    """What stands in the `{names}` of this pattern below `base`; None if the path is another."""
    if not path.startswith(base):
        return None
    known = _regex(pattern).fullmatch(path, len(base))
    return None if known is None else known.groupdict()


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[\\w.-]+)", pattern))
