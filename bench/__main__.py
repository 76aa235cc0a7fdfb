"""`python -m bench COMMAND`: measure, and print what was found."""

import argparse
import sys

from bench import compare, compare_runs, simulate_command
from bench.beside import beside_command
from bench.core import CORE
from bench.distributed import DISTRIBUTED
from bench.durability import DURABILITY
from bench.modes import MODES_SUITE
from bench.pace import PACE

COMMANDS = {
    "beside": beside_command,
    "compare": compare,
    "simulate": simulate_command,
    "compare-runs": compare_runs,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(dest="command", required=True)
    for suite in (CORE, DISTRIBUTED, DURABILITY, MODES_SUITE, PACE):
        command = commands.add_parser(suite.name, help=suite.help)
        suite.add_arguments(command)
        command.set_defaults(main=suite.main)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP)
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    options = parser.parse_args(namespace=argparse.Namespace(words=sys.argv[2:]))
    status: int = options.main(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
