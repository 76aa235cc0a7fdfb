"""How a gateway runs: one frozen value, from keywords or a TOML file."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nbp_async import ConfigError

DAY = 86400.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """How a gateway runs. Keys come from the environment, never from a file.

    Attributes:
        folder: Where the gateway keeps what is its own: users, and by default its run and images.
        journal: The run: a file, or "postgresql://host/db?run=NAME" for several processes; ""
            (default) for one in the folder.
        out: Where images go: a folder, or a store that all processes reach; "" (default) for
            `images` in the folder.
        public_url: How users reach it, for the links it gives; "" (default) takes the Host header.
        host: The address that `nbp serve` listens on.
        port: Its port.
        max_queued: Tasks that may wait; above it new ones are refused with 429.
        max_body: Bytes of a request's body.
        hold: Seconds that a held request is waited for; its task goes on.
        padding: Seconds between two spaces that a held answer begins with, so that a proxy before
            the gateway does not cut it; 0 (default) for none. The status is 200 before the result
            is known then, and errors come in the body.
        link_days: Days for which an image's link is valid.
        drain: Seconds that a stop waits for images that are out.
        max_cost: US dollars that the whole run may cost; None (default) for no limit.
        allow_origin: The origin of another site whose pages may ask, as "https://shop.example"; ""
            (default) for none.
        private_webhooks: Webhooks may go to private addresses and plain http, for a gateway
            inside a network of its own.
    """

    folder: Path | str = "gateway"
    journal: str = ""
    out: str = ""
    public_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8780
    max_queued: int = 10_000
    max_body: int = 96 * 1024 * 1024
    hold: float = 900.0
    padding: float = 0.0
    link_days: float = 30.0
    drain: float = 300.0
    max_cost: str | None = None
    allow_origin: str = ""
    private_webhooks: bool = False

    def __post_init__(self) -> None:
        for name, least in (("max_queued", 1), ("max_body", 1024), ("hold", 1), ("drain", 0)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"is at least {least}.", option=name, value=getattr(self, name))
        if not 0 < self.link_days <= 3650:
            raise ConfigError("is above 0, at most 3650.", option="link_days", value=self.link_days)
        if self.padding and not 1 <= self.padding <= 60:
            raise ConfigError("is 0, or from 1 to 60.", option="padding", value=self.padding)
        if not 0 <= self.port <= 65535:
            raise ConfigError("is from 0 to 65535.", option="port", value=self.port)

    @classmethod
    def read(cls, path: Path, **more: Any) -> Self:
        """The settings of a TOML file; what is given here goes first.

        Raises:
            ConfigError: It cannot be read, or has a setting that does not exist.
        """
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            problem = ConfigError(f"{path} cannot be read: {exc}.")
        else:
            return cls(**(_checked(path, found) | more))
        raise problem

    @property
    def home(self) -> Path:
        """The folder."""
        return Path(self.folder)

    @property
    def is_shared(self) -> bool:
        """Several processes may serve it."""
        return self.journal.startswith(("postgresql://", "postgres://"))

    @property
    def run(self) -> str:
        """What names the run."""
        return self.journal or str(self.home / "run.sqlite3")

    @property
    def place(self) -> str:
        """Where images go."""
        return self.out or str((self.home / "images").absolute())


def _checked(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    known = {field.name: field for field in dataclasses.fields(GatewaySettings)}
    for name, value in found.items():
        if name not in known:
            raise ConfigError(f"{path}: there is no setting {name!r}: {', '.join(known)}.")
        default = known[name].default
        wanted: tuple[type, ...] = (type(default),)
        if name == "max_cost":
            wanted = (str, int, float)
        elif isinstance(default, float):
            wanted = (int, float)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            names = " or ".join(kind.__name__ for kind in wanted)
            raise ConfigError(f"{path}: {name} is {names}, not {value!r}.")
    if "max_cost" in found:
        found["max_cost"] = str(found["max_cost"])
    return found
