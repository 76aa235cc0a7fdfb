"""Options of the commands for a run's queue: where it is, where its images go, and times."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from nbp_async.cli import exit_codes
from nbp_async.cli.destination import Destination, DestinationType, RunType

_FILES = (".sqlite3", ".sqlite", ".db")
_NO_PLACE = "is a file: say where the images go, with --out. Nothing was sent."

journal_option = click.option(
    "--journal",
    required=True,
    metavar="DIR|URL",
    type=RunType(),
    help="The run: a folder, or postgresql://host/db?run=NAME, which any number of machines share.",
)
place_option = click.option(
    "--out",
    type=DestinationType(),
    help="Where images go: a folder, or a store, as s3://bucket/prefix. Default: the run's folder; "
    "a run in a database has one place, which its first command names.",
)


def run_destination(journal: Path | str, out: Path | str | None) -> Destination:
    """Where the images of a run go, for a process that makes them.

    Raises:
        InvalidUseError: Nobody said so.
    """
    if out is None and isinstance(journal, Path) and journal.suffix in _FILES:
        raise exit_codes.InvalidUseError(f"{journal} {_NO_PLACE}")
    place = out
    if place is None:
        place = journal if isinstance(journal, Path) else Path()
    if isinstance(place, Path):
        return Destination(folder=place, journal=journal)
    beside = journal if isinstance(journal, Path) else Path()
    return Destination(folder=beside, store=place, journal=journal)


class MomentType(click.ParamType[datetime]):
    """A time, as ISO 8601 writes it; without a zone it is in that of this machine."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The time."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is not a time: write 2027-01-31T22:00, or with a zone "
                "2027-01-31T22:00+01:00.",
                param,
                ctx,
            )
