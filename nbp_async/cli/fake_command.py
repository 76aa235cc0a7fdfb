"""`nbp fake`: the fake server on the command line."""

from typing import TYPE_CHECKING, Any

import click

from nbp_async.display.formats import plural

if TYPE_CHECKING:
    from nbp_async.fake.server import FakeServer


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8788,
    show_default=True,
    metavar="N",
    help="Port to listen on; 0 for a free one.",
)
@click.option(
    "--latency",
    default="30-170",
    show_default=True,
    metavar="SECONDS",
    help='"120", "30-170", "by-size", "lognormal:90:0.4" (median, sigma).',
)
@click.option(
    "--speed",
    type=float,
    default=1.0,
    show_default=True,
    metavar="N",
    help="How many times faster images come.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the random latencies and faults.",
)
@click.option(
    "--fault",
    metavar="NAME=SHARE,…",
    help='What goes wrong, and how often: "503=0.02,429:5=0.1,reset=0.01".',
)
@click.option(
    "--weight",
    metavar="BYTES",
    help='Size that image files are padded to: "600KB", "6MB", or "real".',
)
@click.option(
    "--kind",
    type=click.Choice(["png", "jpeg"]),
    help="Format of the images. Default: png; jpeg where Google answers it.",
)
@click.option(
    "--delivery",
    type=click.Choice(["b64_json", "url"]),
    default="b64_json",
    show_default=True,
    help="How images come if a request does not say.",
)
@click.option("--key", help="The key that works. Default: one made from the seed.")
@click.option(
    "--rate",
    type=click.IntRange(min=1),
    metavar="N",
    help="Requests that a key may send in any minute.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="Requests that a key may have in flight at once.",
)
@click.option(
    "--submit-latency",
    default="0",
    metavar="SECONDS",
    help="Time to answer the submit of a task; as --latency.",
)
@click.option(
    "--look-latency",
    default="0",
    metavar="SECONDS",
    help="Time to answer a poll of a task; as --latency.",
)
@click.option(
    "--look-fault",
    metavar="NAME=SHARE,…",
    help='What goes wrong with polls of tasks: "500=0.02,reset=0.01".',
)
@click.option(
    "--task-retention",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long a task is known after it ended. Default: a day.",
)
@click.option(
    "--webhook-secret",
    metavar="WHSEC",
    help="Secret that webhooks are signed with. Default: one made from the seed.",
)
@click.option("--interactions", is_flag=True, help="Serve Google's interactions API, too.")
def fake(**values: Any) -> None:
    """Run the fake server: held calls, tasks, batch jobs, an image store, and a bank with a ledger.

    Ctrl-C stops it; then it prints what it would have billed.
    """
    from nbp_async.fake.process import options_of, serve
    from nbp_async.fake.server import FakeServer

    try:
        server = FakeServer(**options_of(values))
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    try:
        serve(server, _announce)
    except OSError as exc:
        raise click.ClickException(f"cannot listen on port {values['port']}: {exc}") from exc
    _conclude(server)


def _announce(server: "FakeServer") -> None:
    click.echo(f"images API   {server.openai_url}")
    click.echo(f"Gemini API   {server.gemini_url}")
    click.echo(f"key          {server.key}")
    click.echo(f"webhooks     {server.webhook_secret}")
    click.echo(f"\nexport NBP_BASE_URL={server.openai_url} NBP_API_KEY={server.key}")
    click.echo(f"\nCounts: {server.base_url}/stats. Ctrl-C stops it.", err=True)


def _conclude(server: "FakeServer") -> None:
    stats, bank = server.stats(), server.bank
    click.echo(
        f"\n{plural(stats.requests, 'request')}, at most {stats.peak_in_flight} at once; "
        f"{plural(bank.images, 'image')} rendered, ${bank.billed} billed; "
        f"{plural(bank.lost, 'paid answer')} did not arrive completely."
    )
    if stats.tasks:
        click.echo(
            f"{stats.tasks} of them were tasks, looked at {stats.looks} times; "
            f"{stats.webhooks_delivered} webhooks were accepted."
        )
