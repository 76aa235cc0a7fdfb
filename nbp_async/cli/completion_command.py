"""`nbp completion`: the script with which a shell completes commands and options."""

import click
from click.shell_completion import get_completion_class

_FILES = {
    "bash": "echo 'eval \"$(nbp completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(nbp completion zsh)\"' >> ~/.zshrc",
    "fish": "nbp completion fish > ~/.config/fish/completions/nbp.fish",
}
_HELP = """\
Print the script with which SHELL completes commands and options with the Tab key.

\b
Install it once:
  {}
""".format("\n  ".join(_FILES.values()))


@click.command(help=_HELP)
@click.argument("shell", type=click.Choice(list(_FILES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows all shells on the list"
    script = kind(ctx.find_root().command, {}, "nbp", "_NBP_COMPLETE")
    # Not `source()`: it runs the bash of this machine to learn its version.
    click.echo(script.source_template % script.source_vars())
