"""The work itself: how long it takes, what goes wrong with it, and what comes out.

All of it follows from the seed, the prompt, the size, and how often the same was asked before.
"""

from collections import Counter
from collections.abc import Sequence

from nbp_async._http import Usage
from nbp_async.fake.answers import Body, answer, text_of, usage_of
from nbp_async.fake.asks import Ask
from nbp_async.fake.chance import chance, digest
from nbp_async.fake.faults import Fault, Spoil
from nbp_async.fake.pictures import Picture, draw, seed_of, weight_of
from nbp_async.fake.settings import Settings
from nbp_async.fake.store import Store


class Studio:
    """Makes images.

    Args:
        settings: How.
        store: Keeps those that are handed out as links.
        root: The server's own address.
    """

    def __init__(self, settings: Settings, store: Store, root: str) -> None:
        self._settings = settings
        self._store = store
        self._root = root
        self._asked: Counter[bytes] = Counter()
        self._made: Counter[bytes] = Counter()

    def fault(self, ask: Ask) -> Fault | None:
        """What goes wrong with this call by chance; the same for the n-th time of every run."""
        settings = self._settings
        if not settings.faults:
            return None
        job = digest(ask.prompt, ask.tier)
        self._asked[job] += 1
        return settings.faults.draw(chance(settings.seed, "fault", job.hex(), self._asked[job]))

    def hold(self, ask: Ask) -> float:
        """Real seconds that this work takes."""
        settings = self._settings
        job = digest(ask.prompt, ask.tier)
        self._made[job] += 1
        luck = chance(settings.seed, "latency", job.hex(), self._made[job])
        return settings.latency.seconds(luck, ask.tier) / settings.speed

    def images(self, ask: Ask, fault: Fault | None) -> tuple[int, Usage | None]:
        """How many images that were asked come out, and the tokens that all that come cost."""
        what = fault.what if isinstance(fault, Spoil) else ""
        if what in ("none", "blocked"):
            return 0, usage_of(ask, 0, thought=what == "none")
        extra = fault.count if isinstance(fault, Spoil) and what == "extra" else 0
        return ask.images, usage_of(ask, ask.images + extra)

    def answer(
        self, ask: Ask, request: str, fault: Fault | None, *,
        links: Sequence[str] | None = None, created: int | None = None,
    ) -> Body:  # fmt: skip
        """Draw what was asked, and put it into the API's words.

        Args:
            ask: What was asked.
            request: The request's id.
            fault: What is wrong with it.
            links: Those that were made for it already.
            created: When that was, in seconds since 1970.
        """
        settings = self._settings
        _, usage = self.images(ask, fault)
        return answer(
            ask, request, [picture for _, picture in self._drawn(ask, fault)],
            self.links(ask, fault) if links is None else links,
            usage=usage, fault=fault if isinstance(fault, Spoil) else None,
            created=int(settings.clock()) if created is None else created,
        )  # fmt: skip

    def links(self, ask: Ask, fault: Fault | None) -> list[str]:
        """Where the images can be fetched from now on; none where they are in the answer."""
        settings = self._settings
        if not (settings.link if ask.link is None else ask.link):
            return []
        weight = weight_of(settings.weight, ask.tier)
        bad = fault.kind if isinstance(fault, Spoil) and fault.what == "image" else ""
        return [
            self._root + self._store.link(seed, picture, weight, bad)
            for seed, picture in self._drawn(ask, fault)
        ]

    def texts(self, ask: Ask, fault: Fault | None) -> list[Sequence[bytes]]:
        """The images as base64 text, each in pieces that are shared."""
        spoil = fault if isinstance(fault, Spoil) else None
        return [text_of(picture, spoil) for _, picture in self._drawn(ask, fault)]

    def _drawn(self, ask: Ask, fault: Fault | None) -> list[tuple[bytes, Picture]]:
        """The pictures, and what each was drawn from."""
        settings = self._settings
        what = fault.what if isinstance(fault, Spoil) else ""
        count, _ = self.images(ask, fault)
        if isinstance(fault, Spoil) and what == "extra":
            count += fault.count
        width, height = ask.pixels
        if what == "size":
            width, height = max(1, width // 2), max(1, height // 2)
        weight = weight_of(settings.weight, ask.tier)
        seeds = [seed_of(ask.prompt, copy) for copy in range(count)]
        kind = ask.kind or settings.kind
        return [(seed, draw(seed, width, height, kind, weight)) for seed in seeds]
