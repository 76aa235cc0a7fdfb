"""The group of commands. A command's module is imported only when the command is called:
`nbp --help` must not import an HTTP client to print ten lines, nor the Tab key to complete one.
"""

from importlib import import_module

import click

from nbp_async import __version__

_WELCOME = """\
nbp makes hundreds of Nano Banana Pro images at once; nothing paid for is lost.

  nbp demo                              see it work: no key, no cost, 20 seconds
  nbp gen "a red bicycle" -o bike.png   one image
  nbp many prompts.txt --out catalogue  a whole list
  nbp show catalogue                    what it made, and what it cost

The key comes from the environment: NBP_API_KEY, or the vendor's own
(GOOGLE_API_KEY and so on); else from `nbp auth set`. NBP_BASE_URL names
another endpoint.
More: nbp --help, nbp help runs"""

_COMMANDS = {
    "demo": "See it work: 200 images from a fake server. No key, no cost.",
    "gen": "Make one image.",
    "many": "Make one image for each prompt of a file.",
    "submit": "Queue an image for each prompt of a file, for nbp work.",
    "work": "Make what is queued in a run, on as many machines as you like.",
    "queue": "Look after a run's queue: counts, money, limits; cancel, pause.",
    "show": "Show a run: images, failures, cost, what may have been billed.",
    "batch": "Submit jobs at half the price; check, fetch, cancel on any day.",
    "fetch": "Download the images of a run that are only links yet.",
    "recover": "Read kept answers of a run again, and store their images.",
    "rebuild": "Make the lost journal of a run from its manifest and images.",
    "merge": "Merge the runs of several machines into one.",
    "journal": "Move the journal of a run between its folder and a database.",
    "export": "Write a run as CSV, Parquet or JSON.",
    "serve": "Serve users who have no key: tasks, budgets, images, a page.",
    "users": "Give tokens to users of `nbp serve`, and take them back.",
    "listen": "Receive webhooks, and print what they say.",
    "auth": "Store a key, show which is used, or remove it.",
    "doctor": "Check key, network, clock and disk, and how to fix each.",
    "prices": "Show what an image costs, where, and since when.",
    "fake": "Run the fake server.",
    "bench": "Run the repository's benchmark.",
    "completion": "Complete commands and options with the Tab key.",
    "help": "Explain a topic: keys, money, runs, limits and so on.",
}


class LazyGroup(click.Group):
    """Lists its commands by name and one line; imports a command when it is called."""

    # ruff: noqa: ARG002  click sets the signatures

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        if ctx.resilient_parsing:  # the Tab key was pressed
            from nbp_async.cli.completion_table import completed_command

            return completed_command(cmd_name)
        command: click.Command = getattr(
            import_module(f"nbp_async.cli.{cmd_name}_command"), cmd_name
        )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not ctx.resilient_parsing:
            from nbp_async.display.formats import suggest

            suggestion = suggest(args[0], _COMMANDS)
            ctx.fail(f"No such command {args[0]!r}: {suggestion}nbp --help lists them.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all images made; 2 usage; 3 some failed, or may have been billed; 4 the "
    "key is missing or was refused; 5 a run was stopped before its end, with nothing unclear; "
    "130 stopped.",
)
@click.version_option(__version__, prog_name="nbp")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Hundreds of Nano Banana Pro images at once; nothing paid for is lost."""
    if ctx.invoked_subcommand is None:
        click.echo(_WELCOME)
    else:
        from nbp_async.cli.warning_lines import warnings_printed

        ctx.with_resource(warnings_printed(ctx))
