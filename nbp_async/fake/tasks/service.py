"""What a task service is: addresses and words. What happens behind them is the desk's."""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec
from aiohttp import web

from nbp_async.fake.answers import Body
from nbp_async.fake.refusals import Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.view import Order, View

Verb = Literal["submit", "look", "result", "cancel", "delete"]


class Stop(msgspec.Struct, frozen=True):
    """What a request wants of a service.

    Attributes:
        verb: What is to be done. "result" is a look at an address of its own.
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
        voice: How it says no, and where it looks for the key.
        scheme: How it signs webhooks.
        events: What it sends a webhook for, where an order does not say.
    """

    name: str
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


def around(head: Mapping[str, object], name: str, body: Body, tail: Mapping[str, object]) -> Said:
    """A JSON object with another one in it that is not copied, for it may weigh megabytes.

    What is no JSON at all (a web page in its place) is answered alone.
    """
    if body.type != "application/json":
        return Said(body, result=True)
    start = msgspec.json.encode(head)[:-1] + b',"' + name.encode() + b'":'
    end = b"," + msgspec.json.encode(tail)[1:] if tail else b"}"
    return Said(Body([start, *body.pieces, end]), result=True)
