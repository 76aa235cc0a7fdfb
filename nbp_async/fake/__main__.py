"""`python -m nbp_async.fake`: the fake server without the command line's packages."""

import argparse
import sys

import msgspec

from nbp_async.fake.process import ServerAddress, options_of, serve
from nbp_async.fake.server import FakeServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nbp_async.fake", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", default="30-170")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault")
    parser.add_argument("--weight")
    parser.add_argument("--kind", choices=("png", "jpeg"))
    parser.add_argument("--delivery", default="b64_json", choices=("b64_json", "url"))
    parser.add_argument("--key")
    parser.add_argument("--rate", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--links-expire", type=float)
    parser.add_argument("--bandwidth", type=float)
    parser.add_argument("--submit-latency", default="0")
    parser.add_argument("--look-latency", default="0")
    parser.add_argument("--look-fault")
    parser.add_argument("--task-retention", type=float)
    parser.add_argument("--batch-latency")
    parser.add_argument("--webhook-secret")
    parser.add_argument("--interactions", action="store_true")
    parser.add_argument("--child", action="store_true", help="stop when standard input ends")
    values = vars(parser.parse_args())
    child = values.pop("child")
    try:
        server = FakeServer(**options_of(values))
    except ValueError as exc:
        parser.error(str(exc))
    serve(server, announce, until_input_ends=child)


def announce(server: FakeServer) -> None:
    """Write the address as one line of JSON."""
    line = msgspec.json.encode(
        ServerAddress(server.base_url, server.key, server.webhook_secret)
    ).decode()
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
