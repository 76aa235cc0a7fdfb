"""OSS, Google Cloud Storage and Azure Blob as far as one object goes in, out and is looked at."""

import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from aiohttp import web

KEY_ID, KEY = "LTAIexample", "hushhush"
_MADE = "2026-01-02T03:04:05.000Z"


@dataclass
class OtherStore:
    """Objects by name, as one of the three services keeps them.

    Attributes:
        url: The endpoint.
        objects: What is there.
        refused: Requests whose signature or token was wrong.
        requests: Method and path with query of every request.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    refused: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)

    async def oss(self, request: web.Request) -> web.Response:
        if not re.match(r"/images(/|$)", request.path):
            words = "<Code>NoSuchBucket</Code><Message>The bucket is not there.</Message>"
            return _xml(f"<Error>{words}</Error>", 404)
        name = self._seen(request).removeprefix("/images").lstrip("/")
        if not name:
            each = (
                "<Contents><Key>{}</Key><Size>{}</Size><LastModified>{}</LastModified></Contents>"
            )
            return self._listed(request, "<ListBucketResult>{}</ListBucketResult>", each, _MADE)
        kind, date = request.headers.get("Content-Type", ""), request.headers["Date"]
        words = "\n".join((request.method, "", kind, date, f"/images/{name}"))
        mac = base64.b64encode(hmac.new(KEY.encode(), words.encode(), hashlib.sha1).digest())
        if request.headers["Authorization"] != f"OSS {KEY_ID}:{mac.decode()}":
            self.refused += 1
            code = "<Code>SignatureDoesNotMatch</Code><Message>No.</Message>"
            return _xml(f"<Error>{code}</Error>", 403)
        return await self._object(request, name)

    async def azure(self, request: web.Request) -> web.Response:
        if not re.match(r"/account/images(/|$)", request.path):
            words = "<Code>ContainerNotFound</Code><Message>It is not there.</Message>"
            return _xml(f"<Error>{words}</Error>", 404)
        name = self._seen(request).removeprefix("/account/images").lstrip("/")
        if not request.headers.get("Authorization", "").startswith("SharedKey account:"):
            self.refused += 1
            return _xml("<Error><Code>NoAuthenticationInformation</Code></Error>", 401)
        if not name:
            whole = "<EnumerationResults><Blobs>{}</Blobs><NextMarker/></EnumerationResults>"
            facts = "<Content-Length>{}</Content-Length><Last-Modified>{}</Last-Modified>"
            each = "<Blob><Name>{}</Name><Properties>" + facts + "</Properties></Blob>"
            return self._listed(request, whole, each, formatdate(0, usegmt=True))
        if request.method == "PUT" and request.headers.get("x-ms-blob-type") != "BlockBlob":
            return web.Response(status=400)
        return await self._object(request, name, stored=201, removed=202)

    async def google(self, request: web.Request) -> web.Response:
        path = self._seen(request)
        if request.headers.get("Authorization") != "Bearer a-token":
            self.refused += 1
            return web.json_response({"error": {"code": 401, "message": "Invalid"}}, status=401)
        if path.startswith("/upload/"):
            body = await request.read()
            boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
            part = body.split(b"--" + boundary)[2]
            self.objects[request.query["name"]] = part.partition(b"\r\n\r\n")[2][:-2]
            return web.json_response(self._facts(request.query["name"]))
        name = re.sub(r"^/storage/v1/b/images/o/?", "", path)
        if not name:
            found = [self._facts(name) for name in self._found(request)]
            return web.json_response({"items": found})
        if name not in self.objects:
            return web.json_response(
                {"error": {"code": 404, "message": "No such object"}}, status=404
            )
        if request.method == "DELETE":
            del self.objects[name]
            return web.Response(status=204)
        if request.query.get("alt") == "media":
            return web.Response(body=self.objects[name])
        return web.json_response(self._facts(name))

    def _facts(self, name: str) -> dict[str, Any]:
        data = self.objects[name]
        md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        return {
            "name": name,
            "size": str(len(data)),
            "md5Hash": md5,
            "etag": "CAE=",
            "updated": _MADE,
            "contentType": "image/png",
        }

    def _seen(self, request: web.Request) -> str:
        self.requests.append((request.method, request.raw_path))
        return request.path

    def _found(self, request: web.Request) -> list[str]:
        return sorted(name for name in self.objects if name.startswith(request.query["prefix"]))

    def _listed(self, request: web.Request, whole: str, each: str, when: str) -> web.Response:
        names = self._found(request)
        rows = (each.format(name, len(self.objects[name]), when) for name in names)
        return _xml(whole.format("".join(rows)), 200)

    async def _object(
        self, request: web.Request, name: str, *, stored: int = 200, removed: int = 204
    ) -> web.Response:
        if request.method == "PUT":
            self.objects[name] = await request.read()
            return web.Response(status=stored)
        if name not in self.objects:
            return web.Response(status=404)
        if request.method == "DELETE":
            del self.objects[name]
            return web.Response(status=removed)
        data = self.objects[name]
        sums = {
            "ETag": f'"{hashlib.md5(data).hexdigest().upper()}"',
            "Last-Modified": formatdate(0, usegmt=True),
        }
        if request.method == "HEAD":
            return web.Response(headers=sums | {"Content-Length": str(len(data))})
        return web.Response(headers=sums, body=data)


@asynccontextmanager
async def other_store(scheme: str) -> AsyncIterator[OtherStore]:
    """Serve it until the block ends."""
    store = OtherStore()
    handlers = {"oss": store.oss, "az": store.azure, "gs": store.google}
    app = web.Application(client_max_size=1 << 28)
    app.router.add_route("*", "/{path:.*}", handlers[scheme])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield store
    finally:
        await runner.cleanup()


def _xml(text: str, status: int) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/xml")
