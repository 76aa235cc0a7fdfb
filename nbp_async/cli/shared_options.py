"""Options that more than one command has."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from nbp_async import (
    CallOptions,
    ClientOptions,
    Limits,
    endpoint_from_env,
    find_profile,
    option_fields,
)
from nbp_async.cli.destination import DestinationType, RunType, destination_of
from nbp_async.cli.network_options import ClientSettings, endpoint_network_options
from nbp_async.cli.value_completion import (
    complete_endpoint,
    complete_model,
    complete_quality,
    complete_size,
    complete_thinking,
)

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

_VIA = {
    "held": "each call stays open until its image is there",
    "poll": "as a task that is polled, with no connection held",
    "webhook": "as a task, and the service calls back when it is done (nbp help webhooks)",
    "batch": "in jobs of a batch API (google, openai), at half the price (nbp help batch)",
}


def add_options(*options: Decorator) -> Decorator:
    """One decorator for several options, which help lists in this order."""

    def decorate(command: Command) -> Command:
        return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)

    return decorate


def library_option(
    kind: type[Any], name: str, *, metavar: str = "N", text: str = "", more: str = ""
) -> Decorator:
    """An option for a field of the library's options, with its default, bounds and choices.

    Args:
        kind: `CallOptions`, `ClientOptions`, `SubmitOptions` or `Limits`.
        name: Its field.
        metavar: What help shows for the value.
        text: What help says before the field's example, instead of its summary.
        more: What help adds to the summary.
    """
    field = option_fields(kind)[name]
    words = f"{f'{text} {field.example}.' if text else field.summary} {more}".strip()
    settings: dict[str, Any] = {"help": words}
    if field.is_flag:
        settings |= {"is_flag": True}
    elif field.choices:
        settings |= {"type": click.Choice(field.choices)}
    elif field.least is not None and not field.example:
        settings |= {"type": click.IntRange(min=int(field.least)), "metavar": metavar}
    else:
        settings |= {"type": str, "metavar": metavar}
    if not field.is_flag and field.default is not None:
        settings |= {"default": field.default, "show_default": field.default != ""}
    return click.option(f"--{name.replace('_', '-')}", **settings)


def via_option(*modes: str) -> Decorator:
    """`--via` for these delivery modes."""
    words = "; ".join(f"{mode}: {text}" for mode, text in _VIA.items() if mode in modes)
    return click.option(
        "--via",
        type=click.Choice(modes),
        help=f"{words}. Default: what the endpoint has, held first.",
    )


def endpoint_option(text: str, *, metavar: str = "NAME|URL|FILE") -> Decorator:
    """`--endpoint`; `text` is what help says of it."""
    return click.option("--endpoint", metavar=metavar, shell_complete=complete_endpoint, help=text)


def model_option(text: str) -> Decorator:
    """`--model`; `text` is what help says of it."""
    return click.option("--model", metavar="NAME", shell_complete=complete_model, help=text)


class _TierType(click.Choice[str]):
    """A service tier. The batch API is none, though it has a price of its own as they have."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The tier; for "batch" the option that is meant."""
        if value == "batch":
            self.fail("the batch API is a way of delivery: nbp many --via batch.", param, ctx)
        return super().convert(value, param, ctx)


tier_option = click.option(
    "--tier",
    type=_TierType(option_fields(CallOptions)["tier"].choices),
    help="Service tier of held calls: flex costs half at Google and takes up to 15 minutes; "
    "priority costs more. Default: standard.",
)
target_option = click.option(
    "--to",
    "target",
    type=DestinationType(),
    help="A folder or a store for them. Default: where the run's other images are.",
)
run_argument = click.argument("where", metavar="DIR", type=click.Path(path_type=Path))
any_run_argument = click.argument("where", metavar="DIR", type=RunType())
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Print what FILE holds, how many images, for how much and how long; send nothing.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object for each image on stdout."
)
# For commands that fetch images by their links.
link_option = library_option(ClientOptions, "allow_http")
keep_links_option = library_option(
    CallOptions,
    "links",
    more="fetch (default): its image is downloaded; keep: the link is the result.",
)
answer_options = add_options(
    library_option(CallOptions, "response_format"), keep_links_option, link_option
)
# Paying again, for what earlier calls of the run left.
resume_options = add_options(
    library_option(CallOptions, "resend_ambiguous", more="Needs --max-cost."),
    library_option(CallOptions, "retry_failed"),
    library_option(CallOptions, "verify"),
)
payment_options = add_options(
    library_option(CallOptions, "max_cost", metavar="USD"),
    library_option(
        ClientOptions,
        "account",
        metavar="NAME",
        more="A run continues only with its own account; its keys may change. Default: the key "
        "stands for it.",
    ),
)
limit_options = add_options(
    library_option(
        Limits, "max_in_flight", metavar="N|auto", more="auto: as many as the vendor accepts."
    ),
    library_option(Limits, "rate", metavar="N/PERIOD", text="Requests that may be sent:"),
    library_option(Limits, "burst"),
    library_option(
        Limits, "spend", metavar="USD/PERIOD", text="US dollars that may be billed in any period:"
    ),
)
_price_option = click.option(
    "--price",
    metavar="USD",
    help="What an image costs, in place of the prices that are known.",
)
_endpoint_options = add_options(
    endpoint_option(
        "google, apiyi, apiyi-http, apiyi-gemini, openai, openrouter, a task service, a base "
        "URL, or a .toml file that describes a service. Default: NBP_BASE_URL or NBP_ENDPOINT, "
        "else the vendor whose key is set."
    ),
    endpoint_network_options,
    json_option,
)
_maker_options = add_options(_price_option, _endpoint_options)
_service_options = add_options(
    click.option(
        "--size",
        metavar="SIZE",
        shell_complete=complete_size,
        help="1K, 2K, 4K, or pixels as 2048x2048. Default: 2K.",
    ),
    click.option(
        "--quality",
        metavar="NAME",
        shell_complete=complete_quality,
        help="low, medium, high and so on, where the model has a choice (nbp prices).",
    ),
    click.option(
        "--thinking",
        metavar="NAME",
        shell_complete=complete_thinking,
        help="minimal, high and so on, where the model has a choice; billed as text.",
    ),
    _price_option,
    model_option("The model. Default: NBP_MODEL, or the endpoint's."),
    _endpoint_options,
)


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Who makes the images.

    Attributes:
        endpoint: Name, address or service file; None for what the environment says.
        model: None for the endpoint's own.
        price: US dollars of an image; None for the prices that are known.
        allow_http: Image links may be plain http; None for what the endpoint is itself.
        network: Options of the client: proxy, certificates, headers.
    """

    endpoint: str | None = None
    model: str | None = None
    price: str | None = None
    allow_http: bool | None = None
    network: ClientSettings = field(default_factory=dict)


def service_options(command: Command) -> Command:
    """Who makes which images; the command gets `service`, and the call's options one by one."""
    return cast("Command", _service_options(_with_service(command)))


def maker_options(command: Command) -> Command:
    """Who makes images that others have asked for; the command gets it as `service`."""
    return cast("Command", _maker_options(_with_service(command)))


def _with_service(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_service(
        endpoint: str | None,
        price: str | None,
        network: ClientSettings,
        model: str | None = None,
        allow_http: bool | None = None,
        **others: Any,
    ) -> Any:
        service = ServiceOptions(
            endpoint=endpoint, model=model, price=price, allow_http=allow_http, network=network
        )
        return command(service=service, **others)

    return with_service


def destination_options(command: Command) -> Command:
    """`--out` and `--journal`; the command gets them as `destination`."""

    @functools.wraps(command)
    def with_destination(out: str | Path, journal: Path | str | None, **others: Any) -> Any:
        return command(destination=destination_of(out, journal), **others)

    decorate = add_options(
        click.option(
            "--out",
            required=True,
            type=DestinationType(),
            help="The folder that gets each image as soon as it is there; or a store, as "
            "s3://bucket/prefix, oss://, gs://, az://.",
        ),
        click.option(
            "--journal",
            metavar="FILE|URL",
            type=RunType(),
            help="The run's journal. Default: in the folder; a store needs one. With "
            "postgresql://host/db?run=NAME many machines share the run.",
        ),
    )
    return cast("Command", decorate(with_destination))


def links_allowed(allow_http: bool | None) -> dict[str, Any]:
    """Where links may lead in a command that asks no endpoint: as with the one that is set up."""
    usual = find_profile(endpoint_from_env(os.environ))
    return {
        "allow_private": usual.is_local,
        "allow_http": usual.is_plain_http if allow_http is None else allow_http,
    }
