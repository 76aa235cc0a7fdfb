"""Where a command's images go: a folder, or a store with the run's journal on this machine."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click

from nbp_async import ConfigError
from nbp_async._stores.address import is_store, refuse_cut_address, store_address
from nbp_async.cli import codes


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where images go.

    Attributes:
        folder: The folder that they go to, or that gets those which their store could not take.
        store: The address of a place in a store where they go instead; "" for none.
        journal: The run's journal; None for one in the folder.
    """

    folder: Path
    store: str = ""
    journal: Path | None = None

    @property
    def out(self) -> str | Path:
        """The option `out` of the client."""
        return self.store or self.folder

    def made(self) -> Self:
        """Make the folder, and make sure of it before an image is paid for.

        Raises:
            Misuse: It cannot be made, or written to.
        """
        path = self.folder
        try:
            refuse_cut_address(path)
            path.mkdir(parents=True, exist_ok=True)
        except ConfigError as exc:
            raise codes.Misuse(
                f"{path}: a folder is wanted here; a store is written --out s3://bucket/prefix. "
                "Nothing was sent."
            ) from exc
        except FileExistsError as exc:
            raise codes.Misuse(
                f"{path} is a file, and images go to a folder. Nothing was sent."
            ) from exc
        except OSError as exc:
            raise codes.Misuse(f"{path}: {exc.strerror}. Nothing was sent.") from exc
        if not os.access(path, os.W_OK | os.X_OK):
            raise codes.Misuse(f"{path} cannot be written to. Nothing was sent.")
        return self


def place_of(out: str | Path, journal: Path | None) -> Place:
    """What `--out` and `--journal` say.

    Raises:
        Misuse: Images go to a store, and nobody said where the run's journal is.
    """
    if isinstance(out, Path):
        return Place(folder=out, journal=journal)
    if journal is None:
        raise codes.Misuse(
            "Images go to a store, and a run has a journal on this machine: say which with "
            "--journal run.sqlite3. Nothing was sent."
        )
    return Place(folder=journal.parent, store=out, journal=journal)


class Out(click.ParamType[str | Path]):
    """A folder, or the address of a place in a store."""

    name = "DIR|URL"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        if not is_store(value):
            return Path(value)
        try:
            return str(store_address(str(value)))
        except ConfigError as exc:
            self.fail(str(exc), param, ctx)
