"""`nbp queue`: the queue of a run, for those who look after it. It needs no key but to requeue."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NoReturn

import click
import msgspec

from nbp_async import Limits, RunControl, RunLimits, TicketStatus
from nbp_async.cli import exit_codes
from nbp_async.cli.account_options import AccountChoice, account_options
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.cli.queue_options import journal_option
from nbp_async.cli.service_client import service_client
from nbp_async.cli.shared_options import (
    ServiceOptions,
    json_option,
    maker_options,
    payment_options,
)
from nbp_async.display.formats import format_dollars, plural, printable

_NONE = "none"  # takes a limit or a budget away
_DAY = click.DateTime(["%Y-%m-%d"])
_GROUP_HELP = """\
Look after the queue of a run: counts, money, limits; cancel, pause.

Most of it needs no key. A run in a folder must not be worked on meanwhile; one in a database may be
worked on by any number of processes, and each heeds what is set here.
"""
tickets_argument = click.argument("tickets", metavar="TICKET...", nargs=-1, required=True, type=int)


@click.group(help=_GROUP_HELP)
def queue() -> None:
    """The group of commands for a run's queue."""


@queue.command(help="Count the tickets in each state.")
@journal_option
@json_option
def counts(journal: Path | str, as_json: bool) -> None:
    """Print a line for each state."""

    async def work(run: RunControl) -> int:
        _print_facts(msgspec.structs.asdict(await run.counts()), as_json=as_json)
        return exit_codes.ALL_MADE

    _control(journal, work)


@queue.command(help="Take tickets out of the queue; it costs nothing.")
@tickets_argument
@journal_option
@click.option(
    "--accept-price",
    is_flag=True,
    help="End those that are out as well: each may be billed, and brings no image.",
)
def cancel(tickets: tuple[int, ...], journal: Path | str, accept_price: bool) -> None:
    """Cancel them, and print what became of each."""

    async def work(run: RunControl) -> int:
        said = await run.cancel(tickets, accept_price=accept_price)
        for number, word in said.items():
            click.echo(f"{number}\t{word}")
        words = Counter(said.values())
        if words["out"]:
            what = "ends, and may be billed" if accept_price else "goes on: see --accept-price"
            print_line(stderr_console(), f"What is in flight {what}.")
        missing = [str(number) for number in tickets if number not in said]
        if missing:
            print_line(stderr_console(), f"This run has no ticket {', '.join(missing)}.")
        goes_on = words["out"] and not accept_price
        is_done = not (goes_on or words["ended"] or missing)
        return exit_codes.ALL_MADE if is_done else exit_codes.SOME_FAILED

    _control(journal, work)


@queue.command(help="Queue tickets again that failed and cost nothing; print those that are.")
@tickets_argument
@journal_option
@payment_options
@account_options
@maker_options
def requeue(
    tickets: tuple[int, ...],
    journal: Path | str,
    max_cost: str | None,
    account: str | None,
    accounts: AccountChoice,
    service: ServiceOptions,
    as_json: bool,
) -> None:
    """Set their prices aside at the endpoint, and queue them."""

    async def work() -> int:
        client = service_client(service, accounts=accounts, sends=False, account=account)
        async with client, client.open_run(journal, max_cost=max_cost) as run:
            queued = await run.requeue(tickets)
        for number in queued:
            click.echo(json.dumps({"ticket": number}) if as_json else number)
        left = len(set(tickets) - set(queued))
        if left:
            text = "not queued: only what failed and was certainly not billed can be."
            print_line(stderr_console(), f"{plural(left, 'ticket')} {text}")
        return exit_codes.SOME_FAILED if left else exit_codes.ALL_MADE

    exit_codes.run(work)


@queue.command(help="Let no process draw or send anything; what is in flight goes on.")
@journal_option
@click.option("--reason", metavar="TEXT", default="It is paused.", help="What others are told.")
def pause(journal: Path | str, reason: str) -> None:
    """Pause it until `resume`."""

    async def work(run: RunControl) -> int:
        await run.pause(reason)
        return exit_codes.ALL_MADE

    _control(journal, work)


@queue.command(help="Go on after a pause.")
@journal_option
def resume(journal: Path | str) -> None:
    """End the pause."""

    async def work(run: RunControl) -> int:
        await run.resume()
        return exit_codes.ALL_MADE

    _control(journal, work)


@queue.command(help="Show or set limits for all processes of a run in a database together.")
@journal_option
@click.option("--max-in-flight", metavar="N|none", help="Requests in flight at once.")
@click.option("--rate", metavar="N/PERIOD|none", help='Requests that may be sent: "60/min".')
@click.option("--burst", type=click.IntRange(min=1), help="Requests that may leave together.")
@click.option("--spend", metavar="USD/PERIOD|none", help='Dollars in any period: "$50/10min".')
@json_option
def limit(
    journal: Path | str,
    max_in_flight: str | None,
    rate: str | None,
    burst: int | None,
    spend: str | None,
    as_json: bool,
) -> None:
    """Set those that are given, and print all of them."""
    with exit_codes.errors_as(exit_codes.InvalidUseError):
        changes = _changed_limits(max_in_flight, rate, burst, spend)

    async def work(run: RunControl) -> int:
        limits = msgspec.structs.replace(await run.limits(), **changes)
        if changes:
            await run.limit(limits)
        _print_facts(_limit_facts(limits), as_json=as_json)
        return exit_codes.ALL_MADE

    _control(journal, work)


@queue.command(help="Show or set what an owner's tickets may cost.")
@click.argument("owner")
@click.argument("dollars", metavar="[USD|none]", required=False)
@journal_option
@click.option(
    "--per",
    type=click.Choice(["day", "month", "all"]),
    default="all",
    show_default=True,
    help="The period, by the day (UTC) of submission.",
)
@json_option
def budget(
    owner: str,
    dollars: str | None,
    journal: Path | str,
    per: Literal["day", "month", "all"],
    as_json: bool,
) -> None:
    """Set it, if dollars are given, and print all of the owner's budgets."""

    async def work(run: RunControl) -> int:
        if dollars is not None:
            await run.set_budget(owner, None if dollars == _NONE else dollars, per=per)
        _print_facts(dict(await run.budgets(owner)), as_json=as_json)
        return exit_codes.ALL_MADE

    _control(journal, work)


@queue.command(help="Show what tickets hold and have cost, in US dollars.")
@journal_option
@click.option("--owner", metavar="NAME", help="Whose. Default: all of them.")
@click.option("--since", type=_DAY, help="The first day (UTC) of submission.")
@click.option("--until", type=_DAY, help="The last one.")
@json_option
def account(
    journal: Path | str,
    owner: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Print what is set aside, certainly charged, perhaps charged in addition, and made."""

    async def work(run: RunControl) -> int:
        first, last = (None if day is None else day.date() for day in (since, until))
        purse = await run.account(owner, since=first, until=last)
        _print_facts(msgspec.structs.asdict(purse), as_json=as_json)
        return exit_codes.ALL_MADE

    _control(journal, work)


@queue.command(help="Print each ticket as it stands after each change, until Ctrl-C.")
@journal_option
@json_option
def watch(journal: Path | str, as_json: bool) -> None:
    """Print a line for each change."""

    async def work(run: RunControl) -> int:
        async for status in run.watch():
            click.echo(_status_json(status) if as_json else _status_line(status))
        return exit_codes.ALL_MADE

    _control(journal, work)


def _control(journal: Path | str, work: Callable[[RunControl], Awaitable[int]]) -> NoReturn:
    """Do something with the run's queue, and end the command with its exit code."""

    async def main() -> int:
        async with RunControl(journal) as run:
            return await work(run)

    exit_codes.run(main)


def _changed_limits(
    max_in_flight: str | None, rate: str | None, burst: int | None, spend: str | None
) -> dict[str, Any]:
    """The fields of `RunLimits` that are given; "none" takes a limit away.

    Raises:
        ConfigError: One of them cannot work.
    """
    changes: dict[str, Any] = {} if burst is None else {"burst": burst}
    if max_in_flight is not None:
        most = None if max_in_flight == _NONE else RunLimits.of(Limits(max_in_flight=max_in_flight))
        changes["max_in_flight"] = None if most is None else most.max_in_flight
    if rate is not None:
        pace = RunLimits() if rate == _NONE else RunLimits.of(Limits(rate=rate))
        changes["rate_seconds"] = pace.rate_seconds
    if spend is not None:
        cap = RunLimits() if spend == _NONE else RunLimits.of(Limits(spend=spend))
        changes |= {"spend": cap.spend, "spend_seconds": cap.spend_seconds}
    return changes


def _limit_facts(limits: RunLimits) -> dict[str, Any]:
    return {
        "max_in_flight": limits.max_in_flight,
        "rate_s": limits.rate_seconds,
        "burst": limits.burst,
        "spend_usd": limits.spend,
        "spend_s": limits.spend_seconds,
    }


def _print_facts(facts: Mapping[Any, Any], *, as_json: bool) -> None:
    """Facts as a JSON object, or a line each; what is not there is "none"."""
    if as_json:
        numbers = {k: float(v) if isinstance(v, Decimal) else v for k, v in facts.items()}
        click.echo(json.dumps(numbers, ensure_ascii=False))
        return
    wide = max(map(len, facts), default=0)
    for name, value in facts.items():
        text = format_dollars(value) if isinstance(value, Decimal) else value
        shown = _NONE if text is None or text == "" else printable(str(text))
        click.echo(f"{name:<{wide}}  {shown}")


def _status_line(status: TicketStatus) -> str:
    cells = (status.number, status.state, status.owner, status.prompt.text)
    return printable("\t".join(map(str, cells)), 1000)


def _status_json(status: TicketStatus) -> str:
    """A ticket as one line of JSON; units are in the names."""
    facts = {
        "ticket": status.number,
        "state": status.state,
        "owner": status.owner,
        "prompt": status.prompt.text,
        "spent_usd": float(status.spent),
        "maybe_usd": float(status.maybe),
        "attempts": status.attempts,
        "is_cancelled": status.is_cancelled,
        "note": status.note,
    }
    return json.dumps(facts, ensure_ascii=False)
