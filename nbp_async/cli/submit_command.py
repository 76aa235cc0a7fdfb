"""`nbp submit`: queues the prompts of a file in a run. It sends nothing."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from nbp_async import SubmitOptions, Ticket
from nbp_async.cli import exit_codes
from nbp_async.cli.account_options import AccountChoice, account_options
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.cli.prompt_files import FileOptions, file_options
from nbp_async.cli.queue_options import MomentType, journal_option, place_option
from nbp_async.cli.service_client import service_client
from nbp_async.cli.shared_options import (
    ServiceOptions,
    library_option,
    payment_options,
    service_options,
    tier_option,
)
from nbp_async.display.formats import format_dollars, plural

_HELP = """\
Queue an image for each prompt in FILE (- for stdin), with its price set aside; send nothing.

FILE is read as by `nbp many` (nbp help prompts). Each image has a ticket, whose number is printed
on stdout, one a line; `nbp work` makes the images, here or on other machines, now or later.

With --key the same command queues once, however often it is made. All is queued or nothing, if
--max-cost or the owner's budget is too little; --part takes what fits.

Exit code 3: not all was queued; stderr says why.
"""


@click.command(help=_HELP)
@file_options
@journal_option
@place_option
@library_option(SubmitOptions, "key", metavar="TEXT")
@library_option(SubmitOptions, "owner", metavar="NAME")
@library_option(SubmitOptions, "priority")
@click.option(
    "--not-before", type=MomentType(), help="When they may be made at the earliest. Default: now."
)
@library_option(SubmitOptions, "note", metavar="TEXT")
@library_option(SubmitOptions, "part")
@payment_options
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr unless something is wrong.")
@tier_option
@account_options
@service_options
def submit(
    source: FileOptions,
    journal: Path | str,
    out: Path | str | None,
    account: str | None,
    accounts: AccountChoice,
    max_cost: str | None,
    not_before: datetime | None,
    quiet: bool,
    service: ServiceOptions,
    as_json: bool,
    **options: Any,
) -> None:
    """Read the prompts and queue them; `options` are those of `Run.submit`."""
    console = stderr_console()

    async def work() -> int:
        prompts = source.read(console)
        if not quiet:
            print_line(console, str(prompts))
        client = service_client(service, accounts=accounts, sends=False, account=account)
        async with client, client.open_run(journal, out=out, max_cost=max_cost) as run:
            tickets = await run.submit(prompts, not_before=not_before, **options)
        for ticket in tickets:
            click.echo(_json(ticket) if as_json else ticket.number)
        missing = prompts.images - len(tickets)
        if missing or not quiet:
            for line in _summary(tickets, missing):
                print_line(console, line)
        return exit_codes.SOME_FAILED if missing else exit_codes.ALL_MADE

    exit_codes.run(work)


def _json(ticket: Ticket) -> str:
    """A ticket as one line of JSON; units are in the names."""
    facts = {
        "ticket": ticket.number,
        "index": ticket.index,
        "is_new": ticket.is_new,
        "held_usd": float(ticket.held),
    }
    return json.dumps(facts)


def _summary(tickets: Sequence[Ticket], missing: int) -> Iterator[str]:
    new = sum(ticket.is_new for ticket in tickets)
    held = format_dollars(sum((ticket.held for ticket in tickets), Decimal(0)))
    yield f"{plural(new, 'image')} queued · {held} set aside"
    if known := len(tickets) - new:
        yield f"{plural(known, 'image')} queued before, by a submission with the same key."
    if missing:
        yield f"{plural(missing, 'image')} not queued: too little money is left."
