"""`nbp`, and `python -m nbp_async`: the command line, or how to install it."""

import io
import sys
from importlib.util import find_spec

_NEEDED = ("click", "rich", "jinja2", "platformdirs")


def main() -> None:
    """Run the command line; if the extra that it needs is missing, say so and exit with 2."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f'The command line needs {", ".join(missing)}:\n    pip install "nbp-async[cli]"\n'
        )
        sys.exit(2)
    from nbp_async.cli.app import app

    _spell_missing_characters()
    app(prog_name="nbp")


def _spell_missing_characters() -> None:
    """A terminal or a pipe may lack characters that a prompt has: data is escaped, so that it can
    be read back, and what people read is spelled.
    """
    from nbp_async.display.spelling import HANDLER, register_spelling

    register_spelling()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            for_people = stream is sys.stderr or stream.isatty()
            stream.reconfigure(errors=HANDLER if for_people else "backslashreplace")


if __name__ == "__main__":
    main()
