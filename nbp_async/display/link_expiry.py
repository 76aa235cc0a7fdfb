"""Images that are paid for and still behind a link: how long the links live, and when to hurry."""

from collections.abc import Iterable

from nbp_async._base.text import format_seconds, plural

DAY = 86400.0
_SOON = 2 * DAY  # seconds before its end from which a link is warned of; most live for seven days


class LinkExpiry:
    """Counts links by when they end.

    Args:
        ends: When each is said to end, in seconds since 1970, or None where the vendor did not say.
        now: In seconds since 1970.

    Attributes:
        count: How many links there are.
        ended: How many should have ended.
        soon: How many more end within two days.
    """

    def __init__(self, ends: Iterable[float | None], now: float) -> None:
        left = [None if end is None else end - now for end in ends]
        known = sorted(seconds for seconds in left if seconds is not None)
        self._alive = [seconds for seconds in known if seconds > 0]
        self.count = len(left)
        self.ended = len(known) - len(self._alive)
        self.soon = sum(seconds < _SOON for seconds in self._alive)

    def __str__(self) -> str:
        words = [f"{self.ended:,} should have ended"] if self.ended else []
        if self._alive:
            first, last = format_seconds(self._alive[0]), format_seconds(self._alive[-1])
            words.append(f"the links live for {first}" + (f" to {last}" if last != first else ""))
        return ", ".join(words) or "the vendor did not say how long the links live"

    def warning(self) -> str:
        """What to do about them soon, or ""."""
        if self.soon:
            end = "ends" if self.soon == 1 else "end"
            return f"{plural(self.soon, 'link')} {end} within 2 days: nbp fetch brings them"
        if self.ended:
            return "try nbp fetch at once: some stores keep images for longer than they say"
        return ""
