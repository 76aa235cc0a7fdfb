"""Keep a reply that is billed, or may be, and whose images cannot be delivered.

It is kept as it came: a first line says in JSON what it was an answer to, with its status and its
headers, and the body follows. The key is in none of it.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from nbp_async._base.errors import (
    ContentBlockedError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    RefusedError,
)
from nbp_async._base.task_handle import Handle
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.exchange import Exchange
from nbp_async._models.outcomes import ZERO
from nbp_async._sinks.base import Sink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.reply_spool import ReplySpool
from nbp_async._sinks.unread import Chunks, unread_place
from nbp_async._transports.content_coding import inflate
from nbp_async._vendors.prices import Prices
from nbp_async._vendors.profiles import endpoint_of
from nbp_async._vendors.services import TaskTable


class KeptHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a kept reply: its first line.

    Attributes:
        status: HTTP status.
        headers: As they came, their names in lower case.
        url: Where the request went.
        endpoint: Name or address of the endpoint.
        dialect: How it was read, in vain.
        handle: The task or the line of a batch job whose result it is, or None.
        tasks: How the service of that task answers, or None.
        index: Place of its prompt in the call.
        number: Of the attempt.
        prompt: The prompt's text.
        model: The model that was requested.
        price: US dollars that the attempt should cost.
        prices: What the model cost then, or None.
        stem: What the names of its images begin with; "" for the index.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    endpoint: str
    dialect: str
    handle: Handle | None = None
    tasks: TaskTable | None = None
    index: int = 0
    number: int = 1
    prompt: str = ""
    model: str = ""
    price: Decimal = ZERO
    prices: Prices | None = None
    stem: str = ""


class ReplyOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply answers: the fields that `KeptHead` has of it."""

    index: int
    number: int
    prompt: str
    model: str
    price: Decimal
    stem: str
    handle: Handle | None = None


def spool_for(sink: Sink, files: FileThreads) -> ReplySpool:
    """What takes a reply while it arrives, beside the images of this sink."""
    return ReplySpool(unread_place(sink, files))


async def keep_unread(
    exchange: Exchange, error: NbpError, endpoint: Endpoint, origin: ReplyOrigin
) -> None:
    """Keep the reply that ended in this error, which says then where it is.

    Nothing is kept of a reply that was read: a refusal, or links to its images. Never raises.
    """
    if not error.unread and _is_unread(exchange, error, endpoint):
        error.unread = await keep_reply(exchange, endpoint, origin)


async def keep_reply(exchange: Exchange, endpoint: Endpoint, origin: ReplyOrigin) -> str:
    """Keep a reply, and return where; "" if there is nothing to keep, or no room. Never raises."""
    spool, head = exchange.spool, exchange.head
    if spool is None or head is None or not spool.size:
        return ""
    fields = msgspec.structs.asdict(origin)
    profile = endpoint.profile
    line = KeptHead(
        status=head.status,
        headers={name.lower(): value for name, value in head.headers.items()},
        url=exchange.url,
        endpoint=endpoint_of(profile),
        dialect=profile.dialect,
        tasks=profile.tasks if origin.handle is not None and origin.handle.kind == "task" else None,
        prices=profile.prices_for(origin.model),
        **fields,
    )
    codings = line.headers.get("content-encoding", "")
    return await spool.keep(
        msgspec.json.encode(line),
        f"{origin.stem}-{origin.number}",
        lambda chunks: _inflated(chunks, codings),
        endpoint.key.hide_in,
    )


def _is_unread(exchange: Exchange, error: NbpError, endpoint: Endpoint) -> bool:
    answer = exchange.answer
    if answer is not None and not answer.images and answer.links:
        return False
    if isinstance(error, NoImageError):
        is_known = isinstance(error, ContentBlockedError)
        return not is_known and endpoint.profile.billed_without_image != "no"
    if isinstance(error, RefusedError):
        return error.status < 300 and endpoint.profile.billing(error.status) != "no"
    return isinstance(error, MalformedReplyError)


def _inflated(chunks: Chunks, codings: str) -> Chunks:
    """The reply without its compression; as it was sent, if that cannot be undone."""
    try:
        for _ in inflate(chunks(), codings):
            pass
    except MalformedReplyError:
        return chunks
    return lambda: inflate(chunks(), codings)
