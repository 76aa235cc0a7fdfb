"""Links of images: they cannot be guessed, and end. Files are served with ETag, Range and 304."""

import asyncio
import hashlib
import hmac
import secrets
import time

from aiohttp import web

from nbp_async import Image, Run
from nbp_async.gateway.gateway_settings import DAY
from nbp_async.gateway.gateway_tables import GatewayTables

_MIME = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "heic": "image/heic",
    "gif": "image/gif",
    "svg": "image/svg+xml",
}
_ONE_DAY = 86400  # links of one day are the same text, so that browsers keep what they have


class ImageLinks:
    """Makes links, and serves what they lead to.

    Args:
        secret: Signs them; all processes of a gateway have the same.
        days: For which a link is valid.
    """

    def __init__(self, secret: str, days: float) -> None:
        self._secret = secret.encode()
        self._seconds = days * DAY

    @classmethod
    async def open(cls, tables: GatewayTables, days: float) -> "ImageLinks":
        """With the secret that the gateway's tables keep; the first process makes it."""
        query = "INSERT INTO gateway_secret VALUES ('links', ?) ON CONFLICT DO NOTHING"
        await tables.rows(query, secrets.token_hex(32))
        rows = await tables.rows("SELECT value FROM gateway_secret WHERE name = 'links'")
        return cls(str(rows[0][0]), days)

    def link(self, base: str, number: int, place: int, image: Image) -> tuple[str, int]:
        """The link of an image of a task, and when it ends, in seconds since 1970."""
        if image.links:  # its bytes are not here
            return image.url, int(image.url_expires or 0)
        ends = int((time.time() + self._seconds) // _ONE_DAY + 1) * _ONE_DAY
        name = f"{number}-{place}.{image.format or 'bin'}"
        return f"{base}/images/{ends}/{self._sign(ends, name)}/{name}", ends

    async def serve(self, request: web.Request, run: Run) -> web.StreamResponse:
        """The image of a link: `/images/{ends}/{signature}/{name}`."""
        ends, name = request.match_info["ends"], request.match_info["name"]
        expected = self._sign(int(ends), name)
        if not hmac.compare_digest(expected, request.match_info["signature"]):
            raise web.HTTPNotFound
        if int(ends) < time.time():
            raise web.HTTPGone(text="This link has ended: ask the task for a new one.")
        image = await _find(run, name)
        headers = {
            "Content-Type": _MIME.get(image.format, "application/octet-stream"),
            "Cache-Control": f"private, max-age={_ONE_DAY}, immutable",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        }
        if image.path is not None:
            if not await asyncio.to_thread(image.path.is_file):
                raise web.HTTPGone(text="This image is not kept any more.")
            return web.FileResponse(image.path, headers=headers)
        etag = f'"{image.sha256}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers | {"ETag": etag})
        return web.Response(body=await image.aread(), headers=headers | {"ETag": etag})

    def _sign(self, ends: int, name: str) -> str:
        return hmac.new(self._secret, f"{ends}/{name}".encode(), hashlib.sha256).hexdigest()[:43]


async def _find(run: Run, name: str) -> Image:
    number, _, place = name.partition(".")[0].partition("-")
    found = await run.status([int(number)])
    outcome = found[0].outcome if found else None
    if not isinstance(outcome, Image):
        raise web.HTTPNotFound
    images = (outcome, *outcome.extras)
    if int(place) >= len(images):
        raise web.HTTPNotFound
    return images[int(place)]
