"""The endpoints we know, as data: address, dialect, key header, prices, and who pays when.

Where a rule is not known it is the careful one: what may have been billed counts as such.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec.structs import replace

from nbp_async._errors import ConfigError
from nbp_async._http import Billing
from nbp_async._near import meant
from nbp_async._prices import APIYI, GOOGLE, Prices
from nbp_async._services import Service, TaskTable, read_service, services

DialectName = Literal["openai_images", "gemini"]
DAY = 86400.0
_MAY_BE_A_KEY = re.compile(r"(?:AIza|AQ\.|sk-|r8_|Bearer ).*|(?=\D*\d)[\w\-:]{24,}", re.DOTALL)
_SOONEST = 0.05  # seconds: tasks that are done at once need not be looked at without a pause


_FAILURES = frozenset(range(500, 1000)) - {503}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One vendor's endpoint.

    ```python
    relay = Profile(name="relay", base_url="https://relay.example.com/v1", billed={500: "no"})
    client = Client(relay, api_key="sk-0123456789ab")
    ```

    Attributes:
        name: What messages call it.
        base_url: Address up to the version, without a slash at its end.
        dialect: `"openai_images"` or `"gemini"`.
        model: The model that is asked unless the call names one.
        auth: Header that carries the key: `"bearer"`, `"x-goog-api-key"`, or `"key"` for
            `Authorization: Key ...`.
        size_style: How `openai_images` spells a size: `"pixels"` (1024x1024) or `"tier"`
            (`image_size` and `aspect_ratio`, as some relays want it).
        response_format: `"url"`, `"b64_json"`, or None where the endpoint refuses the field.
        prices: Its price table; Google's unless the vendor's own is known.
        billed: Who pays for a status, where the vendor says so; what is missing here is
            "maybe" for 408, for 5xx other than 503 and for a success that is none of 200 and 201,
            and "no" for the rest.
        billed_without_image: Who pays for a successful answer that has no image.
        link_lifetime: Seconds that an image link lives, or None if nobody said.
        read: Seconds to wait for an answer, by size; `"*"` for any other.
        key_names: Environment variables that may hold the key, in this order after NBP_API_KEY.
        idempotency: The endpoint replays an answer for a repeated Idempotency-Key. None known does.
        tasks: How it takes tasks on (`via="poll"` and `"webhook"`), or None where it does not.
        held: It answers calls that are held open until the image is there.
        batches: It has the batch API of its dialect's vendor (`via="batch"`), and takes for it the
            share of its prices that `Prices.batch` says.
    """

    name: str
    base_url: str
    dialect: DialectName = "openai_images"
    model: str = "nano-banana-pro"
    auth: Literal["bearer", "x-goog-api-key", "key"] = "bearer"
    size_style: Literal["pixels", "tier"] = "pixels"
    response_format: Literal["url", "b64_json"] | None = "b64_json"
    prices: Prices = GOOGLE
    billed: dict[int, Billing] = field(default_factory=dict, hash=False)
    billed_without_image: Billing = "yes"
    link_lifetime: float | None = None
    read: dict[str, float] = field(default_factory=lambda: {"4K": 600.0, "*": 300.0}, hash=False)
    key_names: tuple[str, ...] = ()
    idempotency: bool = False
    tasks: TaskTable | None = field(default=None, hash=False)
    held: bool = True
    batches: bool = False

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            said = "what was given" if "@" in self.base_url else repr(self.base_url[:80])
            raise ConfigError(
                f'base_url= is an address such as "https://api.example.com/v1", not {said}.'
            )
        if url.username or url.password or url.query or url.fragment:
            raise ConfigError(f"base_url of {self.name}: no user, query or fragment belongs in it.")
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        if any(not math.isfinite(s) or s <= 0 for s in self.read.values()):
            raise ConfigError(f"{self.name}: read time-outs are seconds above zero.")

    @classmethod
    def from_toml(cls, path: str | Path) -> "Profile":
        """A task service that a file of yours describes, named as the file is.

        The file has the lines of a `TaskTable`, and besides `base_url`, and where they are not as
        usual `model`, `auth`, `key_names`, `size_style`, `response_format`, `link_lifetime` (s).

        Raises:
            ConfigError: It cannot be read, or something in it is wrong. Nothing was sent.
        """
        path = Path(path)
        return _profile_of(path.stem, read_service(path))

    def key_header(self, key: str) -> dict[str, str]:
        """The header that carries the key."""
        if self.auth == "x-goog-api-key":
            return {"x-goog-api-key": key}
        return {"Authorization": f"{'Key' if self.auth == 'key' else 'Bearer'} {key}"}

    @property
    def host(self) -> str:
        """Host of `base_url`, with the port if it names one."""
        return urlsplit(self.base_url).netloc

    def read_timeout(self, tier: str) -> float:
        """Seconds to wait for the first byte of an image of this size."""
        return self.read.get(tier) or self.read.get("*", 300.0)

    def billing(self, status: int) -> Billing:
        """Who pays for an answer of this status that is no success."""
        known = self.billed.get(status)
        if known is not None:
            return known
        return "maybe" if status == 408 or status < 300 or status in _FAILURES else "no"


_ARTICLE = services()["article"].tasks
_APIYI_BILLED: dict[int, Billing] = {429: "no", 503: "no", 400: "no", 403: "no"}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="google",
            base_url="https://generativelanguage.googleapis.com/v1beta",
            dialect="gemini",
            model="gemini-3-pro-image",
            auth="x-goog-api-key",
            # ai.google.dev billing FAQ: requests that fail with a 400 or 500 are not charged.
            billed={400: "no", 500: "no"},
            billed_without_image="maybe",
            key_names=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
            batches=True,
        ),
        Profile(
            name="apiyi",
            base_url="https://api.apiyi.com/v1",
            prices=APIYI,
            billed=_APIYI_BILLED,
            link_lifetime=7 * DAY,
            key_names=("APIYI_API_KEY",),
            tasks=_ARTICLE,
        ),
        Profile(
            name="apiyi-http",
            base_url="http://api.apiyi.com:16888/v1",
            prices=APIYI,
            billed=_APIYI_BILLED,
            link_lifetime=7 * DAY,
            key_names=("APIYI_API_KEY",),
            tasks=_ARTICLE,
        ),
        Profile(
            name="apiyi-gemini",
            base_url="https://api.apiyi.com/v1beta",
            prices=APIYI,
            dialect="gemini",
            model="gemini-3-pro-image",
            billed=_APIYI_BILLED,
            key_names=("APIYI_API_KEY",),
        ),
        Profile(
            name="openai",
            base_url="https://api.openai.com/v1",
            model="gpt-image-2",
            response_format=None,
            key_names=("OPENAI_API_KEY",),
            batches=True,  # half the price: developers.openai.com/api/docs/guides/batch
        ),
    )
}


def find_profile(endpoint: "str | Profile") -> Profile:
    """The profile of that name, base URL or TOML file; a `…/v1beta` address speaks Gemini.

    Raises:
        ConfigError: It is neither a known name nor an http(s) address nor such a file.
    """
    if isinstance(endpoint, Profile):
        return endpoint
    if endpoint in PROFILES:
        return PROFILES[endpoint]
    if endpoint.endswith(".toml"):
        return Profile.from_toml(endpoint)
    hosted = {name: service for name, service in services().items() if service.base_url}
    if endpoint in hosted:
        return _profile_of(endpoint, hosted[endpoint])
    if not endpoint.startswith(("http://", "https://")):
        raise _no_endpoint(endpoint, [*PROFILES, *hosted])
    for profile in PROFILES.values():
        if profile.base_url == endpoint.rstrip("/"):
            return profile
    host = urlsplit(endpoint).netloc.rpartition("@")[2] or "the endpoint"
    if urlsplit(endpoint).path.rstrip("/").endswith(("/v1beta", "/v1alpha")):
        return Profile(
            name=host, base_url=endpoint, dialect="gemini", model="gemini-3-pro-image",
            batches=True,
        )  # fmt: skip
    return Profile(name=host, base_url=endpoint, tasks=_ARTICLE)


def endpoint_of(profile: Profile) -> str:
    """What `find_profile` finds it by: its name if it is a vendor's that we know, else its address.

    Rules and prices that somebody else gave it are not in there.
    """
    known = PROFILES.get(profile.name)
    same = known is not None and known.base_url == profile.base_url
    return profile.name if same else profile.base_url


def _no_endpoint(text: str, known: Sequence[str]) -> ConfigError:
    if _MAY_BE_A_KEY.fullmatch(text):
        return ConfigError(
            "endpoint= is no place for a key, and what was given looks like one. Name the vendor "
            "or its address there, and give the key as api_key= or in NBP_API_KEY. "
            "Nothing was sent."
        )
    return ConfigError(
        f"endpoint={text[:60]!r}: {meant(text, known)}Known are {', '.join(known)}; else give a "
        'base URL such as "https://relay.example.com/v1", or a TOML file that describes a service '
        "(nbp help service-files). Nothing was sent."
    )


def _profile_of(name: str, service: Service) -> Profile:
    if not service.base_url:
        raise ConfigError(f"{name}: base_url is missing. Nothing was sent.")
    fields = {f: getattr(service, f) for f in service.__struct_fields__}
    return Profile(name=name, **fields)


def fake_profile(
    base_url: str, dialect: DialectName, usual: Mapping[str, float] | None = None
) -> Profile:
    """The fake server's profile: it bills as its bank does, and its links live for seven days.

    Args:
        base_url: Where it is.
        dialect: Which of its APIs is asked.
        usual: Seconds that its images usually take, by size; see `TaskTable.usual`.
    """
    soon = {size: max(_SOONEST, seconds) for size, seconds in (usual or {}).items()}
    model = "gemini-3-pro-image" if dialect == "gemini" else "nano-banana-pro"
    return Profile(
        name="fake",
        base_url=base_url,
        dialect=dialect,
        model=model,
        link_lifetime=7 * DAY,
        key_names=(),
        batches=True,
        tasks=replace(_ARTICLE, usual=soon) if dialect == "openai_images" else None,
    )
