"""Google's resumable uploads.

POST /upload/v1beta/files            begin; the answer's X-Goog-Upload-URL takes the bytes
POST /upload/v1beta/files/{upload}   X-Goog-Upload-Command: upload, "upload, finalize" or query

Whoever knows an upload's address needs no key. What arrived of a cut piece stays.
"""

from collections.abc import Mapping

import msgspec

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.bank import BankAccount
from nbp_async.fake.batch_files import FileStore, StoredFile
from nbp_async.fake.json_fields import whole_number
from nbp_async.fake.responder import RequestContext
from nbp_async.fake.seeded_random import digest
from nbp_async.fake.spool import Spool

_MOST_FILE = 2 * 1024**3  # bytes
_MOST_OF_ALL = 20 * 1024**3  # bytes of one account
_MOST_CHUNK = 64 * 1024 * 1024  # bytes of one piece


class ResumableUpload(msgspec.Struct):
    """Bytes on their way. `file` is what they became, once all have arrived."""

    account: str
    announced: int | None
    kind: str
    name: str
    spool: Spool
    file: StoredFile | None = None

    def headers(self) -> dict[str, str]:
        """How much of it has arrived."""
        return {
            "X-Goog-Upload-Status": "active" if self.file is None else "final",
            "X-Goog-Upload-Size-Received": str(self.spool.size),
        }


class UploadStore:
    """Keeps the uploads of all accounts."""

    def __init__(self, files: FileStore) -> None:
        self._files = files
        self._uploads: dict[str, ResumableUpload] = {}

    def begin(
        self, account: BankAccount, about: Mapping[str, object], headers: Mapping[str, str]
    ) -> str:
        """The id of a new upload.

        Raises:
            ApiError: It is too large.
        """
        announced = whole_number(headers.get("X-Goog-Upload-Header-Content-Length", ""))
        kind = headers.get("X-Goog-Upload-Header-Content-Type", "application/octet-stream")
        self._check_size(account.key, announced or 0)
        id_ = digest("upload", account.key, len(self._uploads)).hex()
        self._uploads[id_] = ResumableUpload(
            account.key, announced, str(about.get("mimeType") or kind), display_name(about), Spool()
        )
        return id_

    def find(self, id_: str) -> ResumableUpload:
        """The upload of this id.

        Raises:
            ApiError: It is not known.
        """
        upload = self._uploads.get(id_)
        if upload is None:
            raise ApiError(404, "Upload not found.")
        return upload

    async def receive(
        self, ctx: RequestContext, upload: ResumableUpload | None, share: float = 1.0
    ) -> None:
        """Take a piece as it comes, or only this share of it; without an upload, throw it away.

        Raises:
            ApiError: It is too large, or not the next one.
            ConnectionError: The client left in the middle of it.
        """
        request = ctx.request
        given = whole_number(request.headers.get("X-Goog-Upload-Offset", ""))
        offset = -1 if given is None else given
        left = int((request.content_length or 0) * share) if share < 1 else _MOST_CHUNK
        if upload is not None:
            self._append(upload, offset, b"")
        while (left or share >= 1) and (data := await request.content.readany()):
            if share >= 1 and len(data) > left:
                raise ApiError(413, f"A piece has at most {_MOST_CHUNK} bytes.")
            if upload is not None:
                self._append(upload, offset, data[:left])
            offset += len(data[:left])
            left -= len(data[:left])

    def finalize(self, upload: ResumableUpload) -> StoredFile:
        """The file, when all of it has arrived.

        Raises:
            ApiError: Some of it is missing.
        """
        if upload.file is None:
            size = upload.spool.size
            if upload.announced not in (None, size):
                raise ApiError(400, f"{upload.announced} bytes were announced, {size} came.")
            upload.file = self._files.keep_upload(
                upload.account, upload.name, upload.kind, upload.spool
            )
        return upload.file

    def close(self) -> None:
        """Forget them all: the vendor goes down."""
        for upload in self._uploads.values():
            upload.spool.close()
        self._uploads.clear()

    def _append(self, upload: ResumableUpload, offset: int, data: bytes) -> None:
        size = upload.spool.size
        if upload.file is not None or offset != size:
            raise ApiError(400, f"Offset {offset} does not match the {size} bytes received.")
        self._check_size(upload.account, size + len(data))
        upload.spool.append(data)

    def _check_size(self, account: str, size: int) -> None:
        if size > _MOST_FILE:
            raise ApiError(400, f"The file is larger than {_MOST_FILE} bytes.")
        uploaded = (file for file in self._files.of(account) if file.spool is not None)
        if sum(file.size for file in uploaded) + size > _MOST_OF_ALL:
            raise ApiError(429, "The project's file storage quota is used up.")


def display_name(fields: Mapping[str, object]) -> str:
    """The user's name for a file or a job."""
    return str(fields.get("displayName") or fields.get("display_name") or "")
