"""The options of what works on a run without a client."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nbp_async._client.download_options import DownloadOptions
from nbp_async._models.outcomes import Outcome
from nbp_async._vendors.profiles import DialectName


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FetchOptions(DownloadOptions):
    """Options of `fetch_run`. Of `limits` and `timeouts` only what is about downloads counts.

    Attributes:
        out: Where the images go, a folder or a store; None (default) for where the run's others
            are.
        shared: Other users of this machine may read new files and folders, as far as the umask lets
            them; by default only their owner may.
        on_outcome: Called with each outcome as it ends; it must not block.
    """

    out: str | Path | None = None
    shared: bool = False
    on_outcome: Callable[[Outcome], object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecoverOptions(FetchOptions):
    """Options of `recover_run`.

    Attributes:
        dialect: Read them as answers of this API, see `Profile.dialect`; None (default) for the one
            that was asked, and then every other.
    """

    dialect: DialectName | None = None
