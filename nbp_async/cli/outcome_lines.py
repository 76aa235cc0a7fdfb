"""What a command prints on stdout of each outcome: where the image is, or a JSON object."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from nbp_async import Image, Outcome
from nbp_async.cli.destination import Destination
from nbp_async.cli.fallback_storage import is_lasting, save_elsewhere
from nbp_async.cli.output import outcome_json


@dataclass(frozen=True, kw_only=True)
class OutcomeLines:
    """The lines of outcomes, and what is done for them: an image that has no place gets one.

    Attributes:
        name: Gives the file of an image its final name, and returns it, or the link that was kept.
        destination: Where images go.
        console: Where messages go.
        as_json: A JSON object for each outcome, instead of paths.
        number: What JSON calls an outcome's index.
    """

    name: Callable[[Image], str]
    destination: Destination
    console: Console
    as_json: bool
    number: str = "index"

    def of(self, outcome: Outcome) -> Iterator[str]:
        """The lines about one outcome. Called in a thread."""
        location = self._named(outcome) if isinstance(outcome, Image) else None
        if self.as_json:
            yield outcome_json(outcome, location, self.number)
        elif isinstance(outcome, Image):
            locations = (location, *map(self._location_of, outcome.extras))
            yield from (location for location in locations if location is not None)

    def _named(self, image: Image) -> str | None:
        if image.links or (image.path is not None and not self.destination.store):
            return self.name(image)
        return self._location_of(image)

    def _location_of(self, image: Image) -> str | None:
        """Where the image is; if only in memory or a temporary file, where it is saved now."""
        if is_lasting(image):
            return image.location
        folders = (self.destination.folder, Path(tempfile.gettempdir()))
        path = save_elsewhere(image, folders, self.console)
        return None if path is None else str(path)
