"""Copy the journal of a run into a database or out of it; the work is in `run_copies`."""

import sqlite3
from pathlib import Path
from types import ModuleType

from nbp_async._base.errors import ConfigError, JournalError
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.database_address import (
    DatabaseAddress,
    is_database,
    package_is_missing,
)


def copy_journal(source: str | Path, target: str | Path, *, out: str | None = None) -> str:
    """Copy the journal of a run into a database, or out of one, to go on with it there.

    The journal that was read is set aside under another name, so that nobody goes on with both.
    Images stay where they are. Nothing is sent.

    Args:
        source: The run's folder or journal, or `postgresql://host/db?run=NAME`.
        target: The other one of these two. There must be no run yet.
        out: The store of its images, if they are not in the folder of the journal.

    Returns:
        Where the journal that was read is now.

    Raises:
        ConfigError: These two cannot be copied from and to.
        NoRunError: There is no run in `source`.
        JournalError: It is worked on, or cannot be read; or there is a run in `target`. Nothing was
            changed.
    """
    if is_database(source) == is_database(target):
        raise ConfigError(
            "one of the two must be a folder or a file, the other one an address "
            "postgresql://host/db?run=NAME.",
            option="target",
            value=str(target),
        )
    outward = is_database(source)
    address = DatabaseAddress.parse(str(source if outward else target))
    path = _file(target if outward else source)
    copies = import_copies(address)
    try:
        aside = copies.move_out(address, path) if outward else copies.move_in(path, address, out)
    except (copies.psycopg.Error, sqlite3.Error) as exc:
        error = JournalError(
            f"The journal cannot be copied: {str(exc).strip()}. Nothing was changed."
        )
    else:
        return str(aside)
    raise error


def _file(where: str | Path) -> Path:
    path = Path(where).absolute()
    return path / JOURNAL if path.is_dir() else path


def import_copies(address: DatabaseAddress) -> ModuleType:
    """What copies runs, which needs an optional package.

    Raises:
        ConfigError: It is not installed (extra [postgres]).
    """
    try:
        from nbp_async._journal import run_copies
    except ImportError:
        raise package_is_missing(address) from None
    return run_copies
