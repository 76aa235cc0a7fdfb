"""What the batch APIs of both vendors have in common over HTTP."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from nbp_async.fake.api_errors import ApiStyle
from nbp_async.fake.bank import BankAccount
from nbp_async.fake.batch_engine import BatchEngine
from nbp_async.fake.batch_files import StoredFile
from nbp_async.fake.faults import NoAnswer
from nbp_async.fake.payloads import Payload
from nbp_async.fake.request_reader import authenticate
from nbp_async.fake.responder import RequestContext
from nbp_async.fake.vendor_parts import VendorParts


class BatchApi:
    """Answers requests about files and jobs.

    `script(fault, match=...)` reaches them by these words, with the user's name for a job or file:
    "upload NAME", "create NAME" and "look at NAME"; at Google also "piece of NAME" and "query of
    NAME". Downloads of results take the faults for downloads, and lines of a job those that match
    their prompts.
    """

    style: ApiStyle
    engine: BatchEngine

    def __init__(self, parts: VendorParts) -> None:
        self._parts = parts
        self._responder = parts.responder

    def authenticate(self, ctx: RequestContext) -> BankAccount:
        """The account that asks."""
        ctx.account = account = authenticate(ctx.request, self.style, self._parts.bank)
        return account

    async def reply(
        self, ctx: RequestContext, document: object, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        """Answer with a short JSON document."""
        return await self._responder.reply(ctx, 200, msgspec.json.encode(document), headers)

    async def reply_unless(
        self, ctx: RequestContext, words: str, document: Callable[[], object]
    ) -> web.StreamResponse:
        """Answer with a short JSON document, unless a fault for `words` replaces it."""
        fault = self._parts.script.take(words)
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        payload = Payload([msgspec.json.encode(document())])
        return (await self._responder.send(ctx, 200, payload, fault)).response

    async def download(
        self, ctx: RequestContext, file: StoredFile, kind: str
    ) -> web.StreamResponse:
        """Send the bytes of a file while they are made: they may be gigabytes."""
        fault = self._parts.script.take_download()
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        if fault is not None:
            whole = Payload([piece for pieces in file.content() for piece in pieces], kind)
            return (await self._responder.send(ctx, 200, whole, fault)).response
        sent = await self._responder.stream(ctx, kind, file.size, file.content())
        if file.on_delivered is not None and sent.delivered:
            file.on_delivered()
        return sent.response
