"""`nbp bench`: the benchmark, which is in the repository and not in the package."""

import os
import subprocess
import sys
from pathlib import Path

import click

import nbp_async
from nbp_async.cli import codes


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def bench(words: tuple[str, ...]) -> None:
    """Run `python -m bench` with these arguments, where the repository is; --help lists them."""
    root = Path(nbp_async.__file__).parent.parent
    if not (root / "bench" / "__main__.py").is_file():
        raise codes.Misuse(
            "The benchmark is part of the repository, and not of the installed package: get the "
            "source, and run `make bench` there."
        )
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run([sys.executable, "-m", "bench", *words], env=env, check=False)
    except KeyboardInterrupt:  # it had the signal too, and has ended
        sys.exit(codes.STOPPED)
    sys.exit(done.returncode)
