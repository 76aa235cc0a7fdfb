"""What a bench found, as JSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol


class Held(Protocol):
    """A figure that is held to a bound."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def bound(self) -> float: ...
    @property
    def ok(self) -> bool: ...


def save_readings(path: Path, checks: Iterable[Held], readings: dict[str, Any]) -> None:
    """Write the checks and all that was read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [{"name": c.name, "value": c.value, "bound": c.bound, "ok": c.ok} for c in checks]
    path.write_text(json.dumps({"checks": found, "readings": readings}, indent=1) + "\n")
