"""A file on its way to the vendor: whatever is cut off, it arrives whole, and is not sent twice."""

import asyncio
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._base.errors import DisconnectedError, InvalidRequestError, NbpError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._batch_api import upload as batch_upload
from nbp_async._batch_api.gemini_batch import GeminiBatch
from nbp_async._batch_api.upload import Upload
from nbp_async._vendors.profiles import PROFILES

GOOGLE = PROFILES["google"]
URL = GOOGLE.base_url + "/upload/1"


class Vendor:
    """Takes what arrives. Each of `cuts` ends a request: at which share of it, in hundredths, or
    after all of it; and whether the upload is forgotten then.
    """

    def __init__(self, cuts: list[tuple[int, bool]]) -> None:
        self._cuts: Iterator[tuple[int, bool]] = iter(cuts)
        self._open = False
        self.data = b""
        self.whole = b""
        self.began = 0
        self.came = 0

    async def ask(self, request: HttpRequest) -> tuple[ReplyHead, object]:
        await asyncio.sleep(0)
        share, forgets = next(self._cuts, (-1, False))
        told = self._take(request, share)
        if share >= 0:
            self._open = self._open and not forgets
            raise DisconnectedError("gone")
        return told

    def _take(self, request: HttpRequest, share: int) -> tuple[ReplyHead, object]:
        command = request.headers["X-Goog-Upload-Command"]
        if command == "start":
            self._open, self.data = True, b""
            self.began += 1
            return ReplyHead(200, {"x-goog-upload-url": URL}), {}
        if not self._open:
            raise InvalidRequestError("not found", status=404)
        if command == "query":
            size = str(len(self.data))
            heads = {"x-goog-upload-status": "active", "x-goog-upload-size-received": size}
            return ReplyHead(200, heads), None
        assert int(request.headers["X-Goog-Upload-Offset"]) == len(self.data)
        arrived = request.body if share < 0 else request.body[: len(request.body) * share // 100]
        self.came += len(arrived)
        self.data += arrived
        if "finalize" not in command or 0 <= share < 100:
            return ReplyHead(200, {"x-goog-upload-status": "active"}), {}
        self._open, self.whole = False, self.data
        return ReplyHead(200, {"x-goog-upload-status": "final"}), {"file": {"name": "files/a"}}


async def carry(vendor: Vendor, *lines: bytes) -> str:
    begin = GeminiBatch().upload(GOOGLE, "key", "ours", list(lines))
    upload = Upload(GeminiBatch(), GeminiBatch(), GOOGLE, vendor.ask, begin, list(lines))
    while not upload.file:
        try:
            await upload.go_on()
        except NbpError as exc:
            assert isinstance(exc, DisconnectedError)
    return upload.file


@given(
    lines=st.lists(st.binary(max_size=20), max_size=6),
    cuts=st.lists(st.tuples(st.integers(-1, 100), st.booleans()), max_size=12),
)
def test_it_arrives_whole_however_often_it_is_cut(
    lines: list[bytes], cuts: list[tuple[int, bool]]
) -> None:
    vendor = Vendor(cuts)
    with mock.patch.object(batch_upload, "CHUNK", 7):
        assert asyncio.run(carry(vendor, *lines)) == "files/a"
    assert vendor.whole == b"".join(lines)


@pytest.mark.parametrize("share", [0, 40, 100])
async def test_what_has_arrived_is_not_sent_again(share: int) -> None:
    data = bytes(range(50))
    vendor = Vendor([(-1, False), (-1, False), (share, False), (30, False), (-1, False)])
    with mock.patch.object(batch_upload, "CHUNK", 10):
        await carry(vendor, data)
    assert vendor.whole == data
    assert (vendor.began, vendor.came) == (1, 50)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"x-goog-upload-status": "final", "x-goog-upload-size-received": "50"},
        {"x-goog-upload-status": "active", "x-goog-upload-size-received": "51"},
        {"x-goog-upload-status": "active", "x-goog-upload-size-received": "9" * 5000},
        {"x-goog-upload-status": "active", "x-goog-upload-size-received": "-1"},
    ],
)
async def test_an_unreadable_answer_starts_the_upload_again(said: dict[str, str]) -> None:
    class Odd(Vendor):
        def _take(self, request: HttpRequest, share: int) -> tuple[ReplyHead, object]:
            told = super()._take(request, share)
            query = request.headers["X-Goog-Upload-Command"] == "query"
            return (ReplyHead(200, said), None) if query else told

    vendor = Odd([(-1, False), (40, False)])
    await carry(vendor, bytes(50))
    assert (vendor.began, vendor.whole) == (2, bytes(50))
