"""Images that were paid for and are only links yet: how long they live, and when to worry."""

from collections.abc import Iterable

from nbp_async._words import plural, span

DAY = 86400.0
SOON = (
    2 * DAY
)  # seconds before its end from which a link is warned of; five of its seven days are over


class Links:
    """Counts them.

    Args:
        ends: When each is said to end, in seconds since 1970, or None where nobody said.
        now: In seconds since 1970.

    Attributes:
        ended: How many are said to have ended.
        soon: How many more end within two days.
    """

    def __init__(self, ends: Iterable[float | None], now: float) -> None:
        left = [None if end is None else end - now for end in ends]
        self.count = len(left)
        self._known = sorted(seconds for seconds in left if seconds is not None)
        self._alive = [seconds for seconds in self._known if seconds > 0]
        self.ended = len(self._known) - len(self._alive)
        self.soon = sum(seconds < SOON for seconds in self._alive)

    def __str__(self) -> str:
        if not self._known:
            return "nobody said how long the links live"
        words = [f"{self.ended:,} said to have ended"] if self.ended else []
        if self._alive:
            first, last = span(self._alive[0]), span(self._alive[-1])
            words.append(f"the links live for {first}" + (f" to {last}" if last != first else ""))
        return ", ".join(words)

    def warning(self) -> str:
        """What has to be done about them soon, or ""."""
        if self.soon:
            end = "ends" if self.soon == 1 else "end"
            return f"{plural(self.soon, 'link')} {end} within 2 days: nbp fetch brings them"
        if self.ended:
            return "try nbp fetch at once: some stores keep images for longer than they say"
        return ""
