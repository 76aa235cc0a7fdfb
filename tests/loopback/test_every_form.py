"""Every form of an answer, cut anywhere and sent in pieces: no false success, and no byte lost.

The server sends each answer whole and cut at fifty places, in pieces of three sizes in turn, and
marks its end in one of three ways. Whatever becomes of it, the image is there or the bytes are.
Time is real here: requests wait for each other on their sockets, which a clock that jumps cannot
see. The contract of dialects cuts and divides further.
"""

import asyncio
import base64
import json
import re
from pathlib import Path

import pytest

from nbp_async._client.client import Client
from nbp_async._dialects.base import Dialect
from nbp_async._dialects.gemini import GeminiNative
from nbp_async._dialects.openai_chat import OpenAIChat
from nbp_async._models.outcomes import Failure, Image, Outcome
from nbp_async._models.settings import Limits
from nbp_async._vendors.profiles import DialectName, Profile
from tests.contracts.dialects.test_forms import FORMS, JPEG, LINK, PNG, Form
from tests.raw_server import OK, Peer, framed
from tests.raw_server import serving as raw_serving

pytestmark = pytest.mark.slow

KEY = "sk-canary-key-that-must-never-be-seen-0001"
PLACES = 50
PIECES = (1, 7, 64 * 1024)
# Each cut in one size of pieces, and the whole answer in each.
WANTED = [(place, PIECES[place % 3]) for place in range(PLACES)] + [(PLACES, n) for n in PIECES]
WHOLE = tuple(base64.b64decode(text) for text in (PNG, JPEG))
PROMPT = re.compile(rb"cut at (\d+), pieces of (\d+)\D")


def name_of(dialect: Dialect) -> DialectName:
    if isinstance(dialect, GeminiNative):
        return "gemini"
    return "openai_chat" if isinstance(dialect, OpenAIChat) else "openai_images"


class Server:
    """Answers a prompt by its form, cut and in pieces as the prompt says; and serves its link."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self.body = b""
        self._missing = len(WANTED)
        self._has_all = asyncio.Event()

    def listen_at(self, url: str) -> None:
        """The links of the form lead to this server."""
        self.body = self._form.body.replace(LINK.encode(), f"{url}/files/7".encode())

    def cut(self, place: int) -> bytes:
        return self.body[: len(self.body) * place // PLACES]

    async def answer(self, peer: Peer) -> None:
        request = await peer.request()
        if request.startswith(b"GET"):
            await peer.say(framed(WHOLE[0]))
            return
        found = PROMPT.search(request)
        assert found is not None
        place, size = int(found[1]), int(found[2])
        # Three failures in a row would keep the others from leaving, so all leave first.
        self._missing -= 1
        if not self._missing:
            self._has_all.set()
        await self._has_all.wait()
        body = self.cut(place)
        head, end = self._framing(place, size)
        await peer.say(head)
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            await peer.say(b"%x\r\n%b\r\n" % (len(piece), piece) if end else piece)
        if place == PLACES:
            await peer.say(end)

    def _framing(self, place: int, size: int) -> tuple[bytes, bytes]:
        """A head, and what ends the chunks that it announces, if it does."""
        if (place // 3 + size) % 3 == 0:
            return OK + b"Connection: close\r\n\r\n", b""
        if (place // 3 + size) % 3 == 1:
            return OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"
        return OK + b"Content-Length: %d\r\n\r\n" % len(self.body), b""


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
async def test_the_image_is_there_or_its_bytes_are(form: Form, tmp_path: Path) -> None:
    server = Server(form)
    async with raw_serving(server.answer) as raw:
        base = raw.url.removesuffix("/v1/images")
        server.listen_at(base)
        vendor = Profile(
            name="relay",
            base_url=f"{base}/v1",
            dialect=name_of(form.dialect),
            model="gemini-3-pro-image",
        )
        async with Client(vendor, KEY, limits=Limits(max_in_flight=len(WANTED))) as gen:
            batch = await gen.many(
                [f"cut at {place}, pieces of {size}." for place, size in WANTED],
                size="1K",
                out=tmp_path,
            )
    for (place, _), outcome in zip(WANTED, batch, strict=True):
        assert_safe(outcome, server.cut(place), is_whole=place == PLACES)


def assert_safe(outcome: Outcome, body: bytes, *, is_whole: bool) -> None:
    """It is a whole image that came whole, or a failure whose bytes are kept."""
    if isinstance(outcome, Image):
        images = [outcome.read(), *(extra.read() for extra in outcome.extras)]
        assert all(image in WHOLE for image in images)
        assert is_whole or b": ping" in body or b"\n" in body or outcome.notes
        return
    assert isinstance(outcome, Failure)
    assert not is_whole, outcome.error
    assert outcome.billing != "no"
    if body:
        assert outcome.unread, (outcome.error, body[-60:])
        head, _, kept = Path(outcome.unread).read_bytes().partition(b"\n")
        assert json.loads(head)["status"] == 200
        assert kept == body
