"""`nbp serve`: the gateway as a process."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nbp_async import Client, ConfigError, Limits, Timeouts
from nbp_async.cli import exit_codes

_DEMO_SPEED = 20.0  # how many times faster than a vendor the demo's images are
_DEMO_USER = "demo"


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings.")
@click.option("--demo", is_flag=True, help="A fake vendor, a user and a page: no key, no cost.")
@click.option("--host", help="The address to listen on; default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Its port; default 8780.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where users, the run and images are kept; default gateway.",
)
@click.option(
    "--journal", metavar="RUN", help="postgresql://host/db?run=NAME, for several of these."
)
@click.option("--out", metavar="PLACE", help="A folder or a store for the images.")
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Requests that are out at once.",
)
@click.option("--max-cost", metavar="DOLLARS", help="What all of it may cost, for ever.")
def serve(config: Path | None, demo: bool, max_in_flight: int, **given: Any) -> None:
    """Serve users who have tokens and no key: tasks, budgets, images, a page.

    \b
    nbp serve --demo                 try it: open the address that it prints
    nbp users add anna               a token for a user
    nbp serve --host 0.0.0.0         behind a proxy that speaks TLS

    The key of the vendor comes from the environment, as for other commands.
    SIGTERM takes no more tasks, waits for images that are out, and leaves the
    rest queued. More: nbp help gateway
    """
    with exit_codes.errors_as(exit_codes.InvalidUseError):
        _run(config, demo, max_in_flight, given)


def _run(config: Path | None, demo: bool, max_in_flight: int, given: dict[str, Any]) -> None:
    from nbp_async.gateway import GatewaySettings

    chosen = {name: value for name, value in given.items() if value is not None}
    if demo:
        chosen.setdefault("folder", Path("out/gateway"))
    settings = GatewaySettings.read(config, **chosen) if config else GatewaySettings(**chosen)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    limits = Limits(max_in_flight=max_in_flight)
    asyncio.run(_serve(settings, _demo_client(limits) if demo else _client(limits), demo=demo))


def _client(limits: Limits) -> Callable[[], Client]:
    Client.from_env(limits=limits)  # says at once what is wrong with the environment
    return lambda: Client.from_env(limits=limits)


def _demo_client(limits: Limits) -> Callable[[], Client]:
    server = {"latency": "30-170", "speed": _DEMO_SPEED, "seed": 7}
    timeouts = Timeouts(read=300 / _DEMO_SPEED)
    return lambda: Client.fake(server=server, limits=limits, timeouts=timeouts, account="demo")


async def _serve(settings: Any, client: Callable[[], Client], *, demo: bool) -> None:
    from aiohttp import web

    from nbp_async.gateway import gateway_app

    runner = web.AppRunner(
        gateway_app(client, settings), access_log=None, shutdown_timeout=settings.drain
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as exc:
            raise ConfigError(
                f"{settings.host}:{settings.port} cannot be listened on: {exc}"
            ) from None
        port = runner.addresses[0][1]
        click.echo(f"http://{settings.host}:{port}")
        if demo:
            click.echo(f"sign in with {await asyncio.to_thread(_demo_token, settings)}")
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        await stop.wait()
        click.echo("stopping: nothing more is sent, what is out is waited for")
    finally:
        await runner.cleanup()


def _demo_token(settings: Any) -> str:
    from nbp_async.gateway import open_users

    with open_users(settings) as users:
        if _DEMO_USER in (name for name, _, _ in users.names()):
            return users.new_token(_DEMO_USER)
        return users.add(_DEMO_USER, "operator")
