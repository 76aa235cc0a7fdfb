"""`nbp fake`: the fake server on the command line."""

from typing import TYPE_CHECKING, Any

import click

from nbp_async._words import plural

if TYPE_CHECKING:
    from nbp_async.fake.server import FakeServer


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8788, show_default=True,
              metavar="N", help="Port to listen on; 0 for a free one.")  # fmt: skip
@click.option("--latency", default="30-170", show_default=True, metavar="SECONDS",
              help='"120", "30-170", "by-size", "lognormal:90:0.4" (median, sigma).')  # fmt: skip
@click.option("--speed", type=float, default=1.0, show_default=True,
              metavar="N", help="How many times faster images come.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True,
              help="What latencies and faults are drawn from.")  # fmt: skip
@click.option("--fault", metavar="NAME=SHARE,…",
              help='What goes wrong, and how often: "503=0.02,429:5=0.1,reset=0.01".')  # fmt: skip
@click.option("--weight", metavar="BYTES",
              help='What image files are padded to: "600KB", "6MB", or "real".')  # fmt: skip
@click.option("--kind", type=click.Choice(["png", "jpeg"]), default="png", show_default=True,
              help="Format of the images.")  # fmt: skip
@click.option("--delivery", type=click.Choice(["b64_json", "url"]), default="b64_json",
              show_default=True, help="How images come where a request does not say.")  # fmt: skip
@click.option("--key", help="The key that works. Default: one made from the seed.")
@click.option("--rate", type=click.IntRange(min=1), metavar="N",
              help="Requests that a key may begin in any minute.")  # fmt: skip
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N",
              help="Requests that a key may have in work at once.")  # fmt: skip
@click.option("--submit-latency", default="0", metavar="SECONDS",
              help="Until a task's submit is answered; as --latency.")  # fmt: skip
@click.option("--look-latency", default="0", metavar="SECONDS",
              help="Until a look at a task is answered; as --latency.")  # fmt: skip
@click.option("--look-fault", metavar="NAME=SHARE,…",
              help='What goes wrong with looks at tasks: "500=0.02,reset=0.01".')  # fmt: skip
@click.option("--task-retention", type=click.FloatRange(min=0), metavar="SECONDS",
              help="How long a task is known after it ended. Default: a day.")  # fmt: skip
@click.option("--webhook-secret", metavar="WHSEC",
              help="What webhooks are signed with. Default: one made from the seed.")  # fmt: skip
@click.option("--interactions", is_flag=True, help="Serve Google's interactions API, too.")
def fake(**values: Any) -> None:
    """Run the fake server: held calls, tasks, an image store, and a bank that keeps the ledger.

    Ctrl-C stops it; then it says what it would have billed.
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
        f"\n{plural(stats.requests, 'request')}, {stats.peak_in_flight} at once at most; "
        f"{plural(bank.images, 'image')} rendered, ${bank.billed} billed; "
        f"{plural(bank.lost, 'paid answer')} did not arrive whole."
    )
    if stats.tasks:
        click.echo(
            f"{stats.tasks} of them were tasks, looked at {stats.looks} times; "
            f"{stats.webhooks_delivered} webhooks were taken."
        )
