"""`nbp many`: a file of prompts, one image for each."""

from typing import Any

import click

from nbp_async import CallOptions, Limits
from nbp_async.cli import exit_codes
from nbp_async.cli.account_options import AccountChoice, account_options
from nbp_async.cli.destination import Destination
from nbp_async.cli.make_images import MakeOptions, make_images
from nbp_async.cli.output import stderr_console
from nbp_async.cli.prompt_files import FileOptions, file_options
from nbp_async.cli.shared_options import (
    ServiceOptions,
    add_options,
    answer_options,
    destination_options,
    dry_run_option,
    library_option,
    limit_options,
    payment_options,
    resume_options,
    service_options,
    tier_option,
    via_option,
)
from nbp_async.cli.webhook_options import WebhookSettings, webhook_options

_HELP = """\
Make one image for each prompt in FILE (- for stdin); print each path on stdout as it comes.

\b
.txt, -        one prompt per line; blank lines and lines with # are skipped
.csv, .tsv     the column "prompt" or "text", or --prompt-column; columns
               named size, aspect_ratio and so on are options of their row
.json, .jsonl  strings or objects: text, size, aspect_ratio and so on
.md            items of lists (nbp help prompts)
.xlsx,         rows as of a .csv; pip install "nbp-async[frames]"
.parquet

DIR is a run: its journal records what was sent, what came and what it cost. The same command
continues after it ended, was stopped or was killed; existing images are not bought again.

Images may go to a store instead, as --out s3://bucket/prefix (oss, gs, az; its keys come from the
environment). The journal is then the file --journal on this machine.

Ctrl-C sends nothing more and lets paid requests finish; a second Ctrl-C drops them.
"""
_batch_options = add_options(
    click.option(
        "--no-wait",
        "wait",
        flag_value=False,
        default=True,
        help="With --via batch: end when all jobs are created. The same command, on any day, gets "
        "what they made.",
    ),
    library_option(
        CallOptions,
        "failed_lines",
        more="batch: sent in another job; held: sent as held calls, at the full price; keep: "
        "failures.",
    ),
)


@click.command(help=_HELP)
@file_options
@destination_options
@limit_options
@payment_options
@library_option(CallOptions, "shared")
@library_option(
    CallOptions,
    "shard",
    metavar="K/N",
    text="Only every Nth prompt of FILE, beginning with the Kth, as",
    more="For machines that share nothing: nbp merge puts their folders together.",
)
@dry_run_option
@_batch_options
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr unless something failed.")
@resume_options
@webhook_options
@via_option("held", "poll", "webhook", "batch")
@tier_option
@answer_options
@account_options
@service_options
def many(
    source: FileOptions,
    destination: Destination,
    max_in_flight: str,
    rate: str | None,
    burst: int,
    spend: str | None,
    account: str | None,
    dry_run: bool,
    quiet: bool,
    webhook: WebhookSettings | None,
    service: ServiceOptions,
    accounts: AccountChoice,
    as_json: bool,
    **call: Any,
) -> None:
    """Read the prompts and make the images; `call` are the options of `Client.many`."""

    console = stderr_console()

    async def work() -> int:
        return await make_images(
            MakeOptions(
                prompts=source.read(console),
                destination=destination.created(shared=call["shared"]),
                name=destination.name_as_given,
                limits=Limits(max_in_flight=max_in_flight, rate=rate, burst=burst, spend=spend),
                call=call,
                service=service,
                account=account,
                accounts=accounts,
                webhook=webhook,
                dry_run=dry_run,
                console=console,
                as_json=as_json,
                quiet=quiet,
            )
        )

    exit_codes.run(work)
