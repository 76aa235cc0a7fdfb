"""The files of batch APIs: requests that were uploaded, and results that are made when read."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from nbp_async.fake.bank import BankAccount
from nbp_async.fake.seeded_random import digest
from nbp_async.fake.spool import Spool

Pieces = Iterable[bytes]


class StoredFile(msgspec.Struct):
    """A file of one account.

    Attributes:
        id: Its id, as the vendor writes it.
        account: The key that owns it.
        size: Bytes.
        created: Seconds since 1970.
        content: Gives its bytes, from the beginning each time; they may be gigabytes.
        name: The user's name for it.
        kind: What the vendor says it is: a MIME type, or a purpose.
        sha256: Of its bytes, where they were uploaded.
        spool: Holds the bytes of an upload.
        on_delivered: Called when a client has got all of it.
    """

    id: str
    account: str
    size: int
    created: float
    content: Callable[[], Iterator[Pieces]]
    name: str = ""
    kind: str = ""
    sha256: bytes = b""
    spool: Spool | None = None
    on_delivered: Callable[[], object] | None = None


class FileStore:
    """Keeps the files of all accounts.

    Args:
        clock: Seconds since 1970.
        id_of: Makes an id from 32 hexadecimal digits; True for a file of results.
        lifetime: Seconds until a file is forgotten; None to keep it.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        id_of: Callable[[str, bool], str],
        lifetime: float | None = None,
    ) -> None:
        self._clock = clock
        self._id_of = id_of
        self._lifetime = lifetime
        self._files: dict[str, StoredFile] = {}
        self._count = 0

    def keep_upload(self, account: str, name: str, kind: str, spool: Spool) -> StoredFile:
        """Add a file whose bytes have arrived."""
        file = self._new(account, spool.size, spool.content, name, kind, results=False)
        file.spool, file.sha256 = spool, spool.sha256
        return file

    def keep_results(
        self, account: str, size: int, content: Callable[[], Iterator[Pieces]], name: str, kind: str
    ) -> StoredFile:
        """Add a file of results; its bytes are made each time they are read."""
        return self._new(account, size, content, name, kind, results=True)

    def find(self, name: str, account: BankAccount) -> StoredFile | None:
        """The file of this id, if this account has it."""
        file = self._files.get(name)
        if file is None or file.account != account.key or self._is_expired(file):
            return None
        return file

    def of(self, account: str) -> list[StoredFile]:
        """All files of an account, newest first."""
        known = [file for file in self._files.values() if file.account == account]
        return [file for file in known if not self._is_expired(file)][::-1]

    def delete(self, file: StoredFile) -> None:
        """Forget a file and its bytes."""
        del self._files[file.id]
        if file.spool is not None:
            file.spool.close()

    def close(self) -> None:
        """Forget them all: the vendor goes down."""
        for file in list(self._files.values()):
            self.delete(file)

    def _new(
        self,
        account: str,
        size: int,
        content: Callable[[], Iterator[Pieces]],
        name: str,
        kind: str,
        *,
        results: bool,
    ) -> StoredFile:
        self._count += 1
        id_ = self._id_of(digest("file", account, self._count).hex(), results)
        file = StoredFile(id_, account, size, self._clock(), content, name, kind)
        self._files[file.id] = file
        return file

    def _is_expired(self, file: StoredFile) -> bool:
        return self._lifetime is not None and self._clock() >= file.created + self._lifetime
