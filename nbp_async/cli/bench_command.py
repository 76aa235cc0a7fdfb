"""`nbp bench`: the benchmark, which is in the repository but not in the package."""

import os
import subprocess
import sys
from pathlib import Path

import click

import nbp_async
from nbp_async.cli import exit_codes


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def bench(words: tuple[str, ...]) -> None:
    """Run `python -m bench` of the repository with these arguments; --help lists them."""
    root = Path(nbp_async.__file__).parent.parent
    if not (root / "bench" / "__main__.py").is_file():
        raise exit_codes.InvalidUseError(
            "The benchmark is in the repository, not in the installed package: get the source, and "
            "run `make bench` there."
        )
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run([sys.executable, "-m", "bench", *words], env=env, check=False)
    except KeyboardInterrupt:  # the benchmark got the signal too, and ended
        sys.exit(exit_codes.STOPPED)
    sys.exit(done.returncode)
