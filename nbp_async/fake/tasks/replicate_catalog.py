"""What Replicate serves beside predictions.

GET /replicate/v1/account
GET /replicate/v1/models                                    also /{owner}/{name}
GET /replicate/v1/models/{owner}/{name}/versions            also /{id}
POST, GET /replicate/v1/files                               a form with `content`; all of them
GET, DELETE /replicate/v1/files/{id}
"""

import re
from functools import partial

from aiohttp import BodyPartReader, web
from msgspec.json import encode

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.batch_files import FileStore, StoredFile
from nbp_async.fake.model_table import FAKE_MODELS
from nbp_async.fake.request_reader import authenticate, refusing_bad_forms
from nbp_async.fake.responder import RequestContext, Serve
from nbp_async.fake.spool import Spool
from nbp_async.fake.tasks.replicate_models import model_document, version_document, version_of
from nbp_async.fake.timestamps import iso_time
from nbp_async.fake.vendor_parts import VendorParts

_ADDRESS = re.compile(
    r"/replicate/v1/(?P<what>account|models|files)"
    r"(?:/(?P<first>[\w.\-]+)(?:/(?P<name>[\w.\-]+)(?P<versions>/versions(?:/(?P<id>\w+))?)?)?)?"
)
_DAY = 24 * 3600.0
_MOST_FILE = 100_000_000  # bytes
_CHUNK = 64 * 1024


class ReplicateCatalog:
    """Answers the requests to these addresses."""

    def __init__(self, parts: VendorParts) -> None:
        self._parts = parts
        self._files = FileStore(parts.settings.clock, lambda name, _: name, _DAY)

    def find(self, method: str, path: str) -> Serve | None:
        """What serves this request; None if the address is not one of these."""
        known = _ADDRESS.fullmatch(path)
        if known is None:
            return None
        what, first, name = known["what"], known["first"] or "", known["name"] or ""
        if what == "files" and not name:
            if method == "POST" and not first:
                return self._upload
            if method in ("GET", "DELETE"):
                return partial(self._file, name=first)
        if method != "GET":
            return None
        if what == "models" and bool(first) == bool(name):
            return partial(
                self._models,
                model=f"{first}/{name}" if name else "",
                version=known["id"] if known["versions"] else None,
                versions=known["versions"] is not None,
            )
        return self._account if what == "account" and not first else None

    def shut_down(self) -> None:
        """Forget all files: the vendor goes down."""
        self._files.close()

    async def _account(self, ctx: RequestContext) -> web.StreamResponse:
        self._authenticate(ctx)
        about: dict[str, object] = {
            "type": "user",
            "username": "fake-user",
            "name": "Fake",
            "github_url": None,
        }
        return await self._reply(ctx, 200, about)

    async def _models(
        self, ctx: RequestContext, model: str, version: str | None, *, versions: bool
    ) -> web.StreamResponse:
        self._authenticate(ctx)
        if not model:
            return await self._reply(ctx, 200, _page([model_document(n) for n in FAKE_MODELS]))
        owner, _, name = model.partition("/")
        document = model_document(name)
        if name not in FAKE_MODELS or document["owner"] != owner:
            raise ApiError(404, "The requested resource could not be found.")
        if version is not None and version != version_of(name):
            raise ApiError(404, "The requested resource could not be found.")
        if versions:
            document = version_document(name)
            document = _page([document]) if version is None else document
        return await self._reply(ctx, 200, document)

    async def _upload(self, ctx: RequestContext) -> web.StreamResponse:
        account = self._authenticate(ctx)
        spool = Spool()
        try:
            name, kind = await self._read_form(ctx, spool)
        except BaseException:
            spool.close()
            raise
        file = self._files.keep_upload(account, name, kind, spool)
        return await self._reply(ctx, 201, self._document(file))

    async def _read_form(self, ctx: RequestContext, spool: Spool) -> tuple[str, str]:
        """Name and type of the file; its bytes go into `spool`."""
        found: tuple[str, str] | None = None
        with refusing_bad_forms():
            async for part in await ctx.request.multipart():
                if not isinstance(part, BodyPartReader) or part.name != "content":
                    continue
                found = part.filename or "file", part.headers.get("Content-Type", "")
                while data := await part.read_chunk(_CHUNK):
                    spool.append(bytes(data))
                    if spool.size > _MOST_FILE:
                        raise ApiError(413, f"A file has at most {_MOST_FILE} bytes.")
        if found is None:
            raise ApiError(400, "Missing content")
        name, kind = (text.encode(errors="replace").decode() for text in found)
        return name, kind or "application/octet-stream"

    async def _file(self, ctx: RequestContext, name: str) -> web.StreamResponse:
        account = self._authenticate(ctx)
        if not name:
            files = [self._document(file) for file in self._files.of(account)]
            return await self._reply(ctx, 200, _page(files))
        found = [file for file in self._files.of(account) if file.id == name]
        if not found:
            raise ApiError(404, "File not found")
        if ctx.request.method == "DELETE":
            self._files.delete(found[0])
            return await self._parts.responder.reply(ctx, 204, b"")
        return await self._reply(ctx, 200, self._document(found[0]))

    def _document(self, file: StoredFile) -> dict[str, object]:
        return {
            "id": file.id,
            "name": file.name,
            "content_type": file.kind,
            "size": file.size,
            "etag": file.sha256.hex(),
            "checksums": {"sha256": file.sha256.hex()},
            "metadata": {},
            "created_at": iso_time(file.created),
            "expires_at": iso_time(file.created + _DAY),
            "urls": {"get": f"{self._parts.root}/replicate/v1/files/{file.id}"},
        }

    def _authenticate(self, ctx: RequestContext) -> str:
        ctx.account = account = authenticate(ctx.request, "replicate", self._parts.bank)
        return account.key

    async def _reply(
        self, ctx: RequestContext, status: int, document: dict[str, object]
    ) -> web.StreamResponse:
        return await self._parts.responder.reply(ctx, status, encode(document))


def _page(items: list[dict[str, object]]) -> dict[str, object]:
    return {"next": None, "previous": None, "results": items}
