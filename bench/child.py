"""The inside of a fresh process: `python -m bench.child MODULE:FUNCTION`, see `fresh_process`.

The function's argument comes as a line of JSON on stdin, and its result goes as a line to stdout.
Before that it may `report` lines of its own.
"""

import resource
import sys
from importlib import import_module
from typing import Any, get_type_hints

import msgspec


def report(line: str) -> None:
    """Write a line, and wait until the parent lets this process continue."""
    _write(line)
    if not sys.stdin.readline():
        raise SystemExit(1)


def types_of(function: Any) -> tuple[Any, Any]:
    """The types of a function's argument and of its result."""
    hints = get_type_hints(function)
    result = hints.pop("return")
    (argument,) = hints.values()
    return argument, result


def raise_file_limit() -> None:
    """Allow as many open files as this user may have: a held call is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    function = getattr(import_module(module), name)
    argument = msgspec.json.decode(sys.stdin.readline(), type=types_of(function)[0])
    raise_file_limit()
    result = function(argument)
    _write(msgspec.json.encode(result).decode())


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
