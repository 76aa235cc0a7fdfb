"""The fake server in a process of its own, on a loop that goes faster than real time.

`python -m bench.server SCALE ...` takes what `python -m nbp_async.fake` takes. All that it reports
is in simulated seconds, Retry-After too.
"""

import asyncio
import sys
import tempfile

import msgspec

from bench.fast_loop import FastPolicy
from bench.records import Scenario
from nbp_async.fake import SpawnedServer
from nbp_async.fake.__main__ import main
from nbp_async.fake.process import ServerAddress

_PATIENCE = 30.0  # real seconds for it to start


async def spawn_fast(scenario: Scenario, seed: int) -> SpawnedServer:
    """Start one that does what the scenario says; it ends when it is closed.

    Raises:
        RuntimeError: It did not start; its stderr is in the message.
    """
    options = {
        "latency": scenario.latency,
        "seed": seed,
        "fault": scenario.faults or None,
        "weight": scenario.weight,
        "rate": scenario.per_minute,
        "bandwidth": scenario.bandwidth,
        "delivery": scenario.delivery,
    }
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    with tempfile.TemporaryFile() as errors:
        command = (sys.executable, "-m", "bench.server", str(scenario.scale), "--child")
        process = await asyncio.create_subprocess_exec(
            *command,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_PATIENCE):
                line = await process.stdout.readline()
            return SpawnedServer(process, msgspec.json.decode(line, type=ServerAddress))
        except (TimeoutError, msgspec.DecodeError):
            if process.returncode is None:
                process.kill()
            await process.wait()
            errors.seek(0)
            message = errors.read().decode("utf-8", "replace").strip()[-2000:]
    raise RuntimeError(f"the fake server did not start: {message or 'no error message'}")


if __name__ == "__main__":
    asyncio.set_event_loop_policy(FastPolicy(float(sys.argv.pop(1))))
    main()
