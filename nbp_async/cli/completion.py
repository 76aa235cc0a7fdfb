"""`nbp completion`: what a shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class

_FILES = {
    "bash": "echo 'eval \"$(nbp completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(nbp completion zsh)\"' >> ~/.zshrc",
    "fish": "nbp completion fish > ~/.config/fish/completions/nbp.fish",
}
_HELP = """\
Print the lines that let SHELL complete nbp's commands and options with the Tab key.

\b
Once for all:
  {}
""".format("\n  ".join(_FILES.values()))


@click.command(help=_HELP)
@click.argument("shell", type=click.Choice(list(_FILES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the lines."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells that are offered"
    script = kind(ctx.find_root().command, {}, "nbp", "_NBP_COMPLETE")
    # Not `source()`: for bash it starts the bash of this machine to ask for its version.
    click.echo(script.source_template % script.source_vars())
