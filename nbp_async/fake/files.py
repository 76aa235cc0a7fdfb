"""Google's Files API: resumable uploads, and files that are kept for two days.

POST /upload/v1beta/files            begin; the answer's X-Goog-Upload-URL takes the bytes
POST /upload/v1beta/files/{upload}   X-Goog-Upload-Command: upload, "upload, finalize" or query
GET, DELETE /v1beta/files/{id}       what it is; GET /v1beta/files lists them
GET /v1beta/files/{id}:download      its bytes; also below /download
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from nbp_async.fake.bank import Account
from nbp_async.fake.chance import digest
from nbp_async.fake.refusals import RefusalError
from nbp_async.fake.spool import Spool

LIVES = 48 * 3600.0  # seconds on the vendor's clock
MOST_FILE = 2 * 1024**3  # bytes
MOST_OF_ALL = 20 * 1024**3  # bytes of one account

_UPLOAD = re.compile(r"/upload/v1(?:beta)?/files(?:/([0-9a-f]{32}))?")
_FILE = re.compile(r"(?:/download)?/v1(?:beta)?/files(?:/([\w\-]+?))?(:download)?")

Pieces = Iterable[bytes]


class File(msgspec.Struct):
    """A file that is there: `content` gives its bytes anew each time, as it may be large."""

    name: str
    account: str
    size: int
    created: float
    content: Callable[[], Iterator[Pieces]]
    sha256: bytes = b""
    mime: str = "application/jsonl"
    display: str = ""
    generated: bool = False
    spool: Spool | None = None

    def document(self, root: str) -> dict[str, object]:
        return {
            "name": self.name, "displayName": self.display, "mimeType": self.mime,
            "sizeBytes": str(self.size), "createTime": when(self.created),
            "updateTime": when(self.created), "expirationTime": when(self.created + LIVES),
            "sha256Hash": self.sha256.hex(), "uri": f"{root}/v1beta/{self.name}",
            "state": "ACTIVE", "source": "GENERATED" if self.generated else "UPLOADED",
        }  # fmt: skip


class Upload(msgspec.Struct):
    """Bytes that are on their way."""

    account: str
    size: int | None
    mime: str
    display: str
    spool: Spool
    final: File | None = None


class Files:
    """Keeps the files of all accounts.

    Args:
        clock: Seconds since 1970.
        most: Bytes of one file.
        most_of_all: Bytes of all files of an account.
    """

    def __init__(
        self, clock: Callable[[], float], *, most: int = MOST_FILE, most_of_all: int = MOST_OF_ALL
    ) -> None:
        self._clock = clock
        self._most = most
        self._most_of_all = most_of_all
        self._files: dict[str, File] = {}
        self._uploads: dict[str, Upload] = {}
        self._count = 0

    def begin(self, account: Account, size: int | None, mime: str, display: str) -> str:
        """The name of a new upload."""
        self._check(account.key, size or 0)
        name = digest("upload", account.key, self._next()).hex()[:32]
        self._uploads[name] = Upload(account.key, size, mime, display, Spool())
        return name

    def upload(self, name: str) -> Upload:
        """The upload of this name; who knows it needs no key.

        Raises:
            RefusalError: There is none.
        """
        found = self._uploads.get(name)
        if found is None:
            raise RefusalError(404, "Upload not found.")
        return found

    def append(self, upload: Upload, offset: int, data: bytes) -> None:
        """Take more bytes.

        Raises:
            RefusalError: They are not the next ones, or too many.
        """
        size = upload.spool.size
        if upload.final is not None or offset != size:
            words = f"Offset {offset} does not match the {size} bytes received."
            raise RefusalError(400, words)
        self._check(upload.account, size + len(data))
        upload.spool.append(data)

    def finalize(self, upload: Upload) -> File:
        """All of it is here: the file.

        Raises:
            RefusalError: Some of it is missing.
        """
        if upload.final is None:
            spool = upload.spool
            if upload.size is not None and upload.size != spool.size:
                words = f"{upload.size} bytes were announced, {spool.size} came."
                raise RefusalError(400, words)
            upload.final = self.keep(
                upload.account, spool.size, spool.content, display=upload.display,
                mime=upload.mime, sha256=spool.sha256, spool=spool,
            )  # fmt: skip
        return upload.final

    def keep(
        self, account: str, size: int, content: Callable[[], Iterator[Pieces]], *,
        display: str = "", mime: str = "application/jsonl", sha256: bytes = b"",
        generated: bool = False, spool: Spool | None = None,
    ) -> File:  # fmt: skip
        """A new file."""
        short = digest("file", account, self._next()).hex()[:12]
        name = f"files/{'batch-' if generated else ''}{short}"
        file = File(
            name, account, size, self._clock(), content, sha256, mime, display, generated, spool
        )
        self._files[name] = file
        return file

    def find(self, name: str, account: Account) -> File:
        """The file of this name.

        Raises:
            RefusalError: Nobody has it: unknown, another account's, or over two days old.
        """
        file = self._files.get(name)
        if file is None or file.account != account.key or self._old(file):
            words = (
                f"You do not have permission to access the File {name.removeprefix('files/')} or "
                "it may not exist."
            )
            raise RefusalError(403, words)
        return file

    def delete(self, name: str, account: Account) -> None:
        """Forget it."""
        file = self.find(name, account)
        del self._files[file.name]
        if file.spool is not None:
            file.spool.close()

    def close(self) -> None:
        """Forget them all: the vendor goes down."""
        for upload in self._uploads.values():
            upload.spool.close()
        self._uploads.clear()
        self._files.clear()

    def of(self, account: Account) -> list[File]:
        """All files of an account, the newest first."""
        mine = [f for f in self._files.values() if f.account == account.key and not self._old(f)]
        return mine[::-1]

    def _check(self, account: str, size: int) -> None:
        if size > self._most:
            raise RefusalError(400, f"The file is larger than {self._most} bytes.")
        held = sum(f.size for f in self._files.values() if f.account == account and not f.generated)
        if held + size > self._most_of_all:
            raise RefusalError(429, "The project's file storage quota is used up.")

    def _old(self, file: File) -> bool:
        return self._clock() >= file.created + LIVES

    def _next(self) -> int:
        self._count += 1
        return self._count


def upload_of(path: str) -> str | None:
    """The upload that this path is about, "" for a new one; None if it is no such path."""
    found = _UPLOAD.fullmatch(path)
    return None if found is None else found[1] or ""


def file_of(path: str) -> tuple[str, bool] | None:
    """The file that this path is about ("" for all), and whether its bytes are wanted."""
    found = _FILE.fullmatch(path)
    if found is None:
        return None
    return (f"files/{found[1]}" if found[1] else "", found[2] is not None)


def when(seconds: float) -> str:
    """A time as Google writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
