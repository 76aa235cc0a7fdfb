"""The options of a submission to a run's queue."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import Range, check_fields
from nbp_async._base.shown_fields import ShownFields
from nbp_async._vendors.prices import ServiceTier


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SubmitOptions(ShownFields):
    """Options of `Run.submit`.

    Attributes:
        size: For prompts that name none; None (default) takes the run's.
        aspect_ratio: For prompts that name none; None (default) takes the run's.
        model: The model to ask; None (default) takes the run's.
        quality: For prompts that name none; None (default) takes the run's.
        thinking: For prompts that name none; None (default) takes the run's.
        tier: Service tier; None (default) takes the run's.
        key: What names this submission: made again with the same key it queues nothing and gives
            the same tickets, from whatever process. None (default) makes each submission its own.
        owner: Whose purse pays, and with whom the images take turns; "" (default) is an owner, too.
        priority: Higher ones are made first, from -1000 to 1000; default 0.
        not_before: When they may be made at the earliest; None (default) is now. Without a time
            zone it is in that of this machine.
        note: A text that is kept with each ticket, and comes back with its status; at most 4000
            characters.
        part: Where the money is too little for all, queue the first ones that it is enough for;
            by default nothing is queued then.
    """

    size: str | None = None
    aspect_ratio: str | None = None
    model: str | None = None
    quality: str | None = None
    thinking: str | None = None
    tier: ServiceTier | None = None
    key: str | None = None
    owner: str = ""
    priority: Annotated[int, Range(least=-1000, most=1000)] = 0
    not_before: datetime | None = None
    note: str = ""
    part: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("key", "owner"):
            value = getattr(self, name)
            if value is not None and (len(value) > 200 or not value.isprintable()):
                raise ConfigError(
                    "has at most 200 characters, all printable.", option=name, value=value[:80]
                )
        if len(self.note) > 4000:
            raise ConfigError("has at most 4000 characters.", option="note", value=self.note[:80])
        if self.key == "":
            raise ConfigError("is empty: leave it out, or name the submission.", option="key")

    @property
    def earliest(self) -> datetime | None:
        """`not_before` with its time zone, or None."""
        return None if self.not_before is None else self.not_before.astimezone(UTC)
