"""The event loop of asyncio that runs this; or, in trio and in plain code, what to use instead."""

import asyncio

from nbp_async._base.errors import ConfigError


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop of asyncio.

    Raises:
        ConfigError: There is none here.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError(
            "There is no event loop of asyncio here.",
            hint="In plain code, and in threads of trio and others, use SyncClient or run_many: "
            "trio.to_thread.run_sync(run_many, prompts).",
        ) from None
