"""The endpoints we know, as data: address, dialect, key header, prices, and what is billed.

Where a rule is not known it is the careful one: what may have been billed counts as such.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec.structs import replace

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import Range, Seconds, check_fields, known_names
from nbp_async._base.http import Billing
from nbp_async._base.suggestions import suggest
from nbp_async._vendors.catalog import find_model
from nbp_async._vendors.prices import Prices
from nbp_async._vendors.services import ResponseFormat, Service, TaskTable, read_service, services

DialectName = Literal["openai_images", "gemini", "openai_chat"]
CHAT_PATH = "/chat/completions"  # of a chat, after the base URL
DAY = 86400.0
KEY_VARIABLE = "NBP_API_KEY"
# ai.google.dev/gemini-api/docs/flex-inference: the target is 1 to 15 minutes.
_READ = {"4K": 600.0, "*": 300.0, "flex": 960.0}
HttpStatus = Annotated[int, Range(least=100, most=999, unit="a status")]
_MAY_BE_A_KEY = re.compile(r"(?:AIza|AQ\.|sk-|r8_|Bearer ).*|(?=\D*\d)[\w\-:]{24,}", re.DOTALL)
_SOONEST = 0.05  # seconds: even tasks that are done at once are polled with a pause


# What may have been made although the answer says otherwise: a time-out (408), a caller that a
# proxy thought gone (499), a page to go on to (302, 303), and failures of the server.
_MAYBE_BILLED = frozenset({302, 303, 408, 499, *range(500, 1000)}) - {503}


@known_names()
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
        dialect: Which API it speaks: `"openai_images"`, `"gemini"`, or `"openai_chat"` where images
            come in the messages of a chat.
        model: The model that is asked unless the call names one.
        auth: Header that carries the key: `"bearer"`, `"x-goog-api-key"`, or `"key"` for
            `Authorization: Key ...`.
        size_style: How `openai_images` spells a size: `"pixels"` (1024x1024) or `"tier"`
            (`image_size` and `aspect_ratio`, as some relays want it).
        response_format: What held calls ask for unless the call says otherwise: `"url"`,
            `"b64_json"`, or None where the endpoint refuses the field.
        vendor: Whose price list counts (`nbp prices` shows those we know); "" for that of the
            model's maker.
        prices: Prices that count instead: one list for all models, or a dict of lists by model,
            with `"*"` for any other.
        billed: What the vendor charges for a status, where it says so: "no", "maybe" or "yes".
            A status that is missing here is "maybe" if it is 302, 303, 408, 499, 5xx other than
            503, or a success other than 200 and 201, and "no" otherwise.
        billed_without_image: The same for a successful answer that has no image.
        link_lifetime: Seconds that an image link lives, or None if unknown.
        read: Seconds to wait for an answer, by size; `"*"` for any other, and `"flex"` for what an
            image of that service tier is waited for at least.
        key_names: Environment variables that may hold the key, in this order after NBP_API_KEY.
        idempotency: The endpoint replays an answer for a repeated Idempotency-Key. None known does.
        tasks: How it takes tasks on (`via="poll"` and `"webhook"`), or None where it does not.
        held: It answers calls that are held open until the image is there.
        batches: It has the batch API of its dialect's vendor (`via="batch"`), and takes for it the
            factor of its prices that `Prices.tiers` says.
        file: The file that describes it, or "".
    """

    name: str
    base_url: str
    dialect: DialectName = "openai_images"
    model: str = "nano-banana-pro"
    auth: Literal["bearer", "x-goog-api-key", "key"] = "bearer"
    size_style: Literal["pixels", "tier"] = "pixels"
    response_format: ResponseFormat | None = "b64_json"
    vendor: str = ""
    prices: Prices | dict[str, Prices] | None = field(default=None, hash=False)
    billed: dict[HttpStatus, Billing] = field(default_factory=dict, hash=False)
    billed_without_image: Billing = "yes"
    link_lifetime: Seconds | None = None
    read: dict[str, Seconds] = field(default_factory=lambda: dict(_READ), hash=False)
    key_names: tuple[str, ...] = ()
    idempotency: bool = False
    tasks: TaskTable | None = field(default=None, hash=False)
    held: bool = True
    batches: bool = False
    file: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        url = _split(self.base_url)
        if url is None or url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(
                'give an address such as "https://api.example.com/v1".',
                option="base_url",
                value=None if "@" in self.base_url else self.base_url,
            )
        if url.username or url.password or url.query or url.fragment:
            raise ConfigError(
                f"the address of {self.name} has no user, query or fragment.", option="base_url"
            )
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))

    @classmethod
    def from_toml(cls, path: str | Path) -> "Profile":
        """A task service that a file of yours describes, named as the file is.

        The file has the lines of a `TaskTable`, `base_url`, and where they differ from the defaults
        `model`, `auth`, `key_names`, `size_style`, `response_format`, `link_lifetime` (s).

        Raises:
            ConfigError: It cannot be read, or something in it is wrong. Nothing was sent.
        """
        path = Path(path)
        return _profile_of(path.stem, read_service(path), str(path))

    def key_header(self, key: str) -> dict[str, str]:
        """The header that carries the key."""
        if self.auth == "x-goog-api-key":
            return {"x-goog-api-key": key}
        return {"Authorization": f"{'Key' if self.auth == 'key' else 'Bearer'} {key}"}

    @property
    def host(self) -> str:
        """Host of `base_url`, with the port if it names one."""
        return urlsplit(self.base_url).netloc

    @property
    def origin(self) -> str:
        """Scheme, host and port of `base_url`: what a key belongs to."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_local(self) -> bool:
        """The endpoint is on this machine."""
        return is_loopback(self.host)

    @property
    def is_plain_http(self) -> bool:
        """The endpoint is asked without TLS."""
        return urlsplit(self.base_url).scheme == "http"

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Environment variables that may hold its key, the first one first."""
        return (KEY_VARIABLE, *self.key_names)

    def prices_for(self, model: str) -> Prices | None:
        """What a model costs here, or None where that is not known."""
        own, known = self.prices, find_model(model)
        if isinstance(own, Prices):
            return own
        name = model if known is None else known.name
        if own is not None and (listed := own.get(model) or own.get(name) or own.get("*")):
            return listed
        return None if known is None else known.prices.get(self.vendor or known.vendor)

    def read_timeout(self, size: str, tier: str = "standard") -> float:
        """Seconds to wait for the first byte of an image of this size and service tier."""
        seconds = self.read.get(size) or self.read.get("*", _READ["*"])
        return max(seconds, self.read.get(tier, 0.0))

    def billing(self, status: int) -> Billing:
        """What is billed for an answer of this status that brought no image."""
        known = self.billed.get(status)
        if known is not None:
            return known
        return "maybe" if status < 300 or status in _MAYBE_BILLED else "no"


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None where it has none."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


_ARTICLE = services()["article"].tasks
_APIYI_BILLED: dict[int, Billing] = {429: "no", 503: "no", 400: "no", 403: "no"}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="google",
            vendor="google",
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
            vendor="apiyi",
            response_format="url",
            billed=_APIYI_BILLED,
            link_lifetime=7 * DAY,
            key_names=("APIYI_API_KEY",),
            tasks=_ARTICLE,
        ),
        Profile(
            name="apiyi-http",
            base_url="http://api.apiyi.com:16888/v1",
            vendor="apiyi",
            response_format="url",
            billed=_APIYI_BILLED,
            link_lifetime=7 * DAY,
            key_names=("APIYI_API_KEY",),
            tasks=_ARTICLE,
        ),
        Profile(
            name="apiyi-gemini",
            base_url="https://api.apiyi.com/v1beta",
            vendor="apiyi",
            dialect="gemini",
            model="gemini-3-pro-image",
            billed=_APIYI_BILLED,
            key_names=("APIYI_API_KEY",),
        ),
        Profile(
            name="openai",
            vendor="openai",
            base_url="https://api.openai.com/v1",
            model="gpt-image-2",
            response_format=None,
            key_names=("OPENAI_API_KEY",),
            batches=True,  # half the price: developers.openai.com/api/docs/guides/batch
        ),
        Profile(
            name="openrouter",
            vendor="openrouter",
            base_url="https://openrouter.ai/api/v1",
            dialect="openai_chat",
            model="google/gemini-3-pro-image",
            # openrouter.ai, Zero Completion Insurance: an answer without output is not charged, and
            # one that brings words instead of an image may be.
            billed_without_image="maybe",
            key_names=("OPENROUTER_API_KEY",),
        ),
    )
}


def find_profile(endpoint: "str | Profile") -> Profile:
    """The profile of that name, base URL or TOML file.

    An address that ends in `/v1beta` speaks Gemini, one that ends in `/chat/completions` makes
    images in a chat.

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
    return _at_address(endpoint)


def _at_address(endpoint: str) -> Profile:
    """The profile of an address that nobody has named."""
    url = _split(endpoint)
    host = "" if url is None else url.netloc.rpartition("@")[2]
    host = host or "the endpoint"
    if url is not None and url.path.rstrip("/").endswith(("/v1beta", "/v1alpha")):
        return Profile(
            name=host,
            base_url=endpoint,
            dialect="gemini",
            model="gemini-3-pro-image",
            batches=True,
        )
    if endpoint.rstrip("/").endswith(CHAT_PATH):
        return Profile(
            name=host,
            base_url=endpoint.rstrip("/").removesuffix(CHAT_PATH),
            dialect="openai_chat",
            model="gemini-3-pro-image",
        )
    return Profile(name=host, base_url=endpoint, tasks=_ARTICLE)


def endpoint_of(profile: Profile) -> str:
    """What `find_profile` finds it by: its name if it is a vendor's that we know, else its address.

    Rules and prices that somebody else gave it are not in there.
    """
    known = PROFILES.get(profile.name)
    same = known is not None and known.base_url == profile.base_url
    if same:
        return profile.name
    return profile.base_url + (CHAT_PATH if profile.dialect == "openai_chat" else "")


def _no_endpoint(text: str, known: Sequence[str]) -> ConfigError:
    if _MAY_BE_A_KEY.fullmatch(text):
        return ConfigError(
            "what was given looks like a key. Name the vendor or its address here, and give the "
            "key as api_key, or in NBP_API_KEY.",
            option="endpoint",
        )
    return ConfigError(
        f"{suggest(text, known)}Known are {', '.join(known)}; else give a base URL such as "
        '"https://relay.example.com/v1", or a TOML file that describes a service '
        "(nbp help service-files).",
        option="endpoint",
        value=text,
    )


def _profile_of(name: str, service: Service, file: str = "") -> Profile:
    if not service.base_url:
        raise ConfigError(f"{name}: base_url is missing.")
    fields = {f: getattr(service, f) for f in service.__struct_fields__}
    return Profile(name=name, file=file, **fields)


def owners_of(variable: str) -> frozenset[str]:
    """The origins that a vendor's own variable belongs to; none for a name that is no vendor's."""
    return _owners().get(variable, frozenset())


@cache
def _owners() -> Mapping[str, frozenset[str]]:
    hosted = [_profile_of(name, one) for name, one in services().items() if one.base_url]
    found: dict[str, frozenset[str]] = {}
    for profile in (*PROFILES.values(), *hosted):
        for variable in profile.key_names:
            found[variable] = found.get(variable, frozenset()) | {profile.origin}
    return found


def is_loopback(host: str) -> bool:
    """The host is this machine."""
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


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
    model = "nano-banana-pro" if dialect == "openai_images" else "gemini-3-pro-image"
    return Profile(
        name="fake",
        base_url=base_url,
        dialect=dialect,
        model=model,
        link_lifetime=7 * DAY,
        key_names=(),
        batches=dialect != "openai_chat",
        tasks=replace(_ARTICLE, usual=soon) if dialect == "openai_images" else None,
    )
