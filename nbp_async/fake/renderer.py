"""The work itself: how long it takes, what goes wrong with it, and what comes out.

All of it follows from the seed, the prompt, the size, and how often the same was requested before.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from nbp_async.fake.chat_api import chat_payload
from nbp_async.fake.fake_settings import FakeSettings
from nbp_async.fake.faults import BadPayload, Fault
from nbp_async.fake.google_answers import GoogleAnswer
from nbp_async.fake.image_events import event_payload
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.image_store import ImageStore
from nbp_async.fake.model_table import ServiceTier, TokenCount, fake_model
from nbp_async.fake.payloads import Payload, base64_pieces, image_payload
from nbp_async.fake.pictures import DrawnImage, Kind, draw, seed_of, weight_of
from nbp_async.fake.seeded_random import digest, seeded_uniform


class Renderer:
    """Makes images.

    Args:
        settings: How.
        store: Makes the links of those that are delivered as links.
        root: The server's own address.
    """

    def __init__(self, settings: FakeSettings, store: ImageStore, root: str) -> None:
        self._settings = settings
        self._store = store
        self._root = root
        self._requests: Counter[bytes] = Counter()
        self._rendered: Counter[bytes] = Counter()

    def draw_fault(self, spec: ImageSpec) -> Fault | None:
        """The fault that this call meets by chance; the n-th request meets the same in each run."""
        settings = self._settings
        if not settings.faults:
            return None
        job = digest(spec.prompt, spec.size)
        self._requests[job] += 1
        quantile = seeded_uniform(settings.seed, "fault", job.hex(), self._requests[job])
        return settings.faults.draw(quantile)

    def draw_hold(self, spec: ImageSpec) -> float:
        """Real seconds that this work takes."""
        settings = self._settings
        job = digest(spec.prompt, spec.size)
        self._rendered[job] += 1
        quantile = seeded_uniform(settings.seed, "latency", job.hex(), self._rendered[job])
        return settings.latency.seconds(quantile, spec.size) / settings.speed

    def count(self, spec: ImageSpec, fault: Fault | None) -> tuple[int, TokenCount | None]:
        """How many images are billed, and the tokens of all that come out."""
        what = _what(fault)
        if isinstance(fault, BadPayload) and what in ("none", "blocked"):
            tokens = spec.count_tokens(0, answered=what == "none")
            return 0, tokens and msgspec.structs.replace(tokens, text=len(fault.text) // 4)
        return spec.images, spec.count_tokens(spec.images + _extra(fault))

    def given_tier(self, spec: ImageSpec, fault: Fault | None) -> ServiceTier:
        """How urgently it is done: "priority" becomes "standard" when the vendor is busy."""
        return "standard" if _what(fault) == "downgrade" else spec.service_tier

    def payload(
        self,
        spec: ImageSpec,
        request: str,
        fault: Fault | None,
        *,
        links: Sequence[str] | None = None,
        created: int | None = None,
    ) -> Payload:
        """Draw the images, and write the answer of a held call.

        Args:
            spec: What was asked.
            request: The request's id.
            fault: What is wrong with it.
            links: The images' links, if they were made before.
            created: When they were made, in seconds since 1970.
        """
        pictures = [image for _, image in self._draw(spec, fault)]
        links = self.links(spec, fault) if links is None else links
        damage = fault if isinstance(fault, BadPayload) else None
        tokens = self.count(spec, fault)[1]
        if spec.style == "google":
            assert tokens is not None, "this API counts its tokens"
            heavy = self._settings.weight == "real"
            answer = GoogleAnswer(spec, request, tokens, damage, heavy=heavy)
            return answer.payload(pictures, links, self._draft(spec) if pictures else None)
        now = int(self._settings.clock()) if created is None else created
        if spec.chat:
            return chat_payload(
                spec, request, pictures, links, tokens=tokens, fault=damage, created=now
            )
        if spec.stream:
            drafts = [self._draw_draft(spec, number) for number in range(spec.drafts)]
            return event_payload(spec, pictures, drafts, tokens=tokens, fault=damage, created=now)
        return image_payload(request, pictures, links, tokens=tokens, fault=damage, created=now)

    def kind_of(self, spec: ImageSpec) -> Kind:
        """The format of its images; by itself the Gemini API answers JPEG files for new models."""
        draws_jpeg = spec.style == "google" and fake_model(spec.model).thinks is not None
        return spec.kind or self._settings.kind or ("jpeg" if draws_jpeg else "png")

    def links(self, spec: ImageSpec, fault: Fault | None) -> list[str]:
        """The images' links, valid from now on; none if the answer holds the images."""
        settings = self._settings
        if not (settings.link if spec.link is None else spec.link):
            return []
        weight = weight_of(settings.weight, spec.size)
        kind = fault.kind if isinstance(fault, BadPayload) and fault.what == "image" else ""
        return [
            self._root + self._store.link(seed, image, weight, kind)
            for seed, image in self._draw(spec, fault)
        ]

    def texts(self, spec: ImageSpec, fault: Fault | None) -> list[Sequence[bytes]]:
        """The images as base64, each in pieces that other answers share."""
        damage = fault if isinstance(fault, BadPayload) else None
        return [base64_pieces(image, damage) for _, image in self._draw(spec, fault)]

    def _draft(self, spec: ImageSpec) -> DrawnImage | None:
        """What the model tried on its way, if thoughts are shown; nobody is billed for it."""
        if not spec.shows_thoughts or fake_model(spec.model).thinks is None:
            return None
        return self._draw_draft(spec, 0)

    def _draw_draft(self, spec: ImageSpec, number: int) -> DrawnImage:
        return draw(seed_of(spec.prompt, -1 - number), 512, 512, self.kind_of(spec))

    def _draw(self, spec: ImageSpec, fault: Fault | None) -> list[tuple[bytes, DrawnImage]]:
        """The images, and the seed of each."""
        settings = self._settings
        width, height = spec.pixels
        if _what(fault) == "size":
            width, height = max(1, width // 2), max(1, height // 2)
        weight = weight_of(settings.weight, spec.size)
        kind = self.kind_of(spec)
        count = self.count(spec, fault)[0] + _extra(fault)
        seeds = [seed_of(spec.prompt, copy) for copy in range(count)]
        return [(seed, draw(seed, width, height, kind, weight)) for seed in seeds]


def _what(fault: Fault | None) -> str:
    return fault.what if isinstance(fault, BadPayload) else ""


def _extra(fault: Fault | None) -> int:
    """How many images come out beyond those requested."""
    return fault.count if isinstance(fault, BadPayload) and fault.what == "extra" else 0
