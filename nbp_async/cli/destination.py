"""Where a command's images go, a folder or a store, and where its run's journal is."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import click
from click.shell_completion import CompletionItem

from nbp_async import ConfigError, Image, parse_out
from nbp_async.cli import exit_codes


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where images go.

    Attributes:
        folder: The folder that gets the images, or those that the store could not take.
        store: Address in a store that gets them instead; "" for none.
        journal: The run's journal, a file or an address in a database; None for one in the folder.
    """

    folder: Path
    store: str = ""
    journal: Path | str | None = None

    @property
    def out(self) -> str | Path:
        """The option `out` of the client."""
        return self.store or self.folder

    @property
    def run(self) -> Path | str:
        """The run's folder or journal, as other commands take it."""
        return self.journal or self.folder

    def name_as_given(self, image: Image) -> str:
        """The image's path, beginning with the folder as the user wrote it; or its link."""
        return image.location if image.path is None else str(self.folder / image.path.name)

    def created(self, *, shared: bool = False) -> Self:
        """Create the folder, and check it before an image is paid for.

        Args:
            shared: Other users may read it, as far as the umask lets them.

        Raises:
            InvalidUseError: It cannot be created or written to.
        """
        path = self.folder
        try:
            parse_out(path)
            _make_folder(path, 0o777 if shared else 0o700)
        except ConfigError as exc:
            problem = f"{path}: must be a folder; a store is written --out s3://bucket/prefix"
            raise exit_codes.InvalidUseError(f"{problem}. Nothing was sent.") from exc
        except FileExistsError as exc:
            problem = f"{path} is a file: name a folder for the images"
            raise exit_codes.InvalidUseError(f"{problem}. Nothing was sent.") from exc
        except OSError as exc:
            problem = f"{path}: {exc.strerror}"
            raise exit_codes.InvalidUseError(f"{problem}. Nothing was sent.") from exc
        if not os.access(path, os.W_OK | os.X_OK):
            raise exit_codes.InvalidUseError(f"{path} is not writable. Nothing was sent.")
        return self


def _make_folder(path: Path, mode: int) -> None:
    """Make it, and those above it that are missing: `mkdir` gives a mode to the last one alone."""
    if not path.parent.exists():
        _make_folder(path.parent, mode)
    path.mkdir(mode, exist_ok=True)


def destination_of(out: str | Path, journal: Path | str | None) -> Destination:
    """What `--out` and `--journal` say.

    Raises:
        InvalidUseError: Images go to a store, and there is no place for the run's journal.
    """
    if isinstance(out, Path):
        return Destination(folder=out, journal=journal)
    if journal is None:
        raise exit_codes.InvalidUseError(
            "A run in a store needs a journal on this machine: add --journal run.sqlite3. "
            "Nothing was sent."
        )
    folder = Path() if isinstance(journal, str) else journal.parent
    return Destination(folder=folder, store=out, journal=journal)


class _PlaceType(click.ParamType[str | Path]):
    """A place on this machine or elsewhere; the shell completes those of this machine."""

    name = "DIR|URL"
    completed: ClassVar[Literal["dir", "file"]] = "dir"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The shell's own folders, or also its files."""
        return [CompletionItem(incomplete, type=self.completed)]


class RunType(_PlaceType):
    """A run's folder or journal: a path, or the address of one in a database."""

    completed = "file"

    def convert(
        self,
        value: str | Path,
        param: click.Parameter | None,  # noqa: ARG002  click sets the signature
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str | Path:
        return value if isinstance(value, str) and "://" in value else Path(value)


class DestinationType(_PlaceType):
    """A folder, or the address of a place in a store."""

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        try:
            return parse_out(value) if "://" in str(value) else Path(value)
        except ConfigError as exc:
            self.fail(str(exc), param, ctx)
