"""One account of a client that has several."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import HIDDEN, Form, check_fields, known_names
from nbp_async._base.shown_fields import ShownFields
from nbp_async._models.settings import Dollars, Limits
from nbp_async._transports.extra_headers import ExtraHeaders, read_headers
from nbp_async._vendors.api_keys import ApiKey
from nbp_async._vendors.profiles import Profile

_USUAL = Limits()
OF_THE_CLIENT = ("max_open", "poll_rate", "max_downloads", "max_body", "max_memory")


@known_names(models="model")
@dataclass(frozen=True, slots=True, repr=False)
class Account(ShownFields):
    """Who is asked, with which key, and how hard: one account of a client that has several.

    ```python
    client = Client(
        [
            Account("google", "AQ.0123456789", limits=Limits(max_in_flight=200)),
            Account("apiyi", ["sk-0123456789ab", "sk-ba9876543210"], limits=Limits(rate="60/min")),
        ],
        route="cheapest",
    )
    ```

    Attributes:
        endpoint: As of `Client`: a known name, a base URL, a TOML file or a Profile, which has the
            billing rules; None (default) for "google".
        api_key: The key, or keys of this one account, as of `Client`. None (default) takes what the
            environment has for the endpoint, and needs `Client.from_env`.
        name: What bills, journals and messages call it; None (default) for the endpoint's name.
            Two accounts of one client have two names.
        models: What a model is called here, by the name that calls use: `{"pro": "pro-v2-hd"}`. The
            spellings of models that we know (`nbp prices`) need no line.
        limits: How hard it may be pressed: `max_in_flight`, `rate`, `burst`, `spend`,
            `reuse_connections`; None (default) for those of the client.
        price: US dollars of an image here, as of `Client`; None (default) for the known prices.
        headers: Headers that each request to this endpoint's host carries as well, as of `Client`;
            None (default) for none.
    """

    endpoint: Annotated[str | Profile | None, HIDDEN, Form("a name, an address or a Profile")] = (
        None
    )
    api_key: Annotated[
        ApiKey | None, HIDDEN, Form("text, or a list of the keys of one account")
    ] = None
    name: str | None = field(default=None, kw_only=True)
    models: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    limits: Limits | None = field(default=None, kw_only=True)
    price: Dollars | None = field(default=None, kw_only=True)
    headers: Annotated[
        Mapping[str, str] | ExtraHeaders | None,
        HIDDEN,
        Form('a dict such as {"X-Team": "art"}', read=read_headers),
    ] = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)
        for name in OF_THE_CLIENT if self.limits is not None else ():
            given = getattr(self.limits, name)
            if given != getattr(_USUAL, name):
                raise ConfigError(
                    "all accounts of a client share it: give it there, Client(limits=...).",
                    option=name,
                    value=str(given),
                )
