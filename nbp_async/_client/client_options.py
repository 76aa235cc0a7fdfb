"""The options of a client: values, checked where they are made; see `options`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import HIDDEN, Form
from nbp_async._client.account import Account
from nbp_async._client.download_options import DownloadOptions
from nbp_async._client.options import NO_BATCH_TIER
from nbp_async._flow.route import RouteName
from nbp_async._models.events import Listener
from nbp_async._models.outcomes import Links
from nbp_async._models.settings import Dollars, Retry
from nbp_async._transports.base import Transport
from nbp_async._transports.extra_headers import ExtraHeaders, read_headers
from nbp_async._vendors.api_keys import ApiKey
from nbp_async._vendors.prices import ServiceTier
from nbp_async._vendors.profiles import DialectName, Profile
from nbp_async._vendors.services import ResponseFormat
from nbp_async._webhooks.webhook import Webhook


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SharedOptions(DownloadOptions):
    """Options of a client, whatever endpoint it asks.

    Attributes:
        model: The model to ask; None (default) takes the profile's.
        quality: For calls and prompts that name none; None (default) is the model's own.
        thinking: For calls and prompts that name none; None (default) is the model's own.
        tier: Service tier of held calls that name none: "flex", "priority", or "standard", which is
            what None (default) is.
        price: US dollars of an image, whatever its size, model and tier, in place of the prices
            that are known (`nbp prices`); None (default) for these.
        retry: What to try again; see `Retry`. By default nothing that may have been billed.
        transport: "aiohttp" (default); "direct" (extra [direct]), under which held calls cost less
            CPU and memory; "httpx" (extra [httpx]); or an object of your own. See
            `nbp help transports`.
        links: For calls that name none: "fetch" (default) or "keep"; see `CallOptions.links`.
        response_format: For calls that name none: "url" or "b64_json"; see
            `CallOptions.response_format`.
        listeners: Get each attempt and outcome; see `Listener`.
        headers: Headers that each request to the endpoint's host carries as well, for a gateway
            before it; no other host gets them, and their values are never shown. They cannot
            replace those of the request itself, such as Authorization; None (default) for none.
        account: Name of the account that pays, for the journals of runs; None (default) lets the
            key stand for it. Name it if its keys change.
        webhook: Where tasks of `via="webhook"`, and batch jobs, call back; see `Webhook`.
        rng: Draws the jitter, from 0 up to 1; for tests.
    """

    model: str | None = None
    quality: str | None = None
    thinking: str | None = None
    tier: Annotated[ServiceTier | None, NO_BATCH_TIER] = None
    price: Dollars | None = None
    retry: Retry | None = None
    transport: Literal["aiohttp", "direct", "httpx"] | Transport = "aiohttp"
    links: Links = "fetch"
    response_format: ResponseFormat | None = None
    listeners: Annotated[Sequence[Listener], Form("a list of listeners")] = ()
    headers: Annotated[
        Mapping[str, str] | ExtraHeaders | None,
        HIDDEN,
        Form('a dict such as {"X-Team": "art"}', read=read_headers),
    ] = None
    account: str | None = None
    webhook: Webhook | None = None
    rng: Callable[[], float] | None = None

    @property
    def added_headers(self) -> dict[str, str]:
        """`headers` as they are sent."""
        given = self.headers
        return given.reveal() if isinstance(given, ExtraHeaders) else {}


@dataclass(frozen=True, slots=True, repr=False)
class ClientOptions(SharedOptions):
    """The options of `Client`.

    Attributes:
        endpoint: A known name (see `PROFILES`), a base URL, a TOML file that describes a service,
            or a Profile; None (default) for "google", or what the environment names. A list of
            `Account` for several at once: `nbp help accounts`.
        api_key: The API key. It is sent to the endpoint's host alone, and never shown. Of a list of
            keys of one account the first is used; once it is refused (401, 403), the next one.
        route: Which of several accounts is asked first, of those whose gate is open: "balanced",
            which is what None (default) is, fills all alike; "cheapest" the one with the lowest
            price; "fastest" the one whose images came soonest.
    """

    endpoint: Annotated[
        str | Profile | Sequence[Account] | None,
        HIDDEN,
        Form("a name, an address, a Profile, or a list of Account"),
    ] = None
    api_key: Annotated[
        ApiKey | None, HIDDEN, Form("text, or a list of the keys of one account")
    ] = None
    route: RouteName | None = field(default=None, kw_only=True)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Several accounts, or one of a list; empty where the endpoint is given without a list."""
        given = self.endpoint
        return () if given is None or isinstance(given, str | Profile) else tuple(given)

    @property
    def single(self) -> str | Profile | None:
        """The endpoint, where it is no list of accounts.

        Raises:
            ConfigError: It is one. Nothing was sent.
        """
        if self.accounts or not isinstance(self.endpoint, str | Profile | None):
            raise ConfigError("this goes to one account: give its endpoint.", option="endpoint")
        return self.endpoint


@dataclass(frozen=True, slots=True, repr=False)
class EnvironmentOptions(ClientOptions):
    """The options of `Client.from_env`.

    Attributes:
        environ: Instead of `os.environ`.
    """

    _: dataclasses.KW_ONLY
    environ: Annotated[Mapping[str, str] | None, HIDDEN, Form("a dict of text to text")] = None


@dataclass(frozen=True, slots=True, repr=False)
class BatchRunOptions(EnvironmentOptions):
    """The options of `BatchRun`. Without an endpoint, that of the journal is asked if it is known.

    Attributes:
        out: Where the run's images belong, a folder or a store, if the journal does not say so.
    """

    _: dataclasses.KW_ONLY
    out: str | Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FakeClientOptions(SharedOptions):
    """The options of `Client.fake`.

    Attributes:
        dialect: Which API client and server speak; see `Profile.dialect`.
        server: Options of `fake.FakeServer`: latency (30-170 s by default), speed, seed, faults,
            quotas and so on.
    """

    dialect: DialectName = "openai_images"
    server: Mapping[str, Any] | None = None


def keywords_of(options: Any, kind: type[Any]) -> dict[str, Any]:
    """Those of the options that `kind` has as well, as keywords."""
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}
