"""For plain scripts: the client without `async`."""

import asyncio
from collections.abc import Callable
from typing import Unpack

import anyio

from nbp_async._batch import Batch
from nbp_async._client import Client
from nbp_async._errors import ConfigError
from nbp_async._flow.source import Prompts
from nbp_async._options import RunAsk


def run_many(
    prompts: Prompts, *, client: Callable[[], Client] = Client.from_env, **ask: Unpack[RunAsk]
) -> Batch:
    """Make one image per prompt from a plain script, without async: `Client.many` in a loop.

    ```python
    batch = run_many(["a red bicycle", "a green one"], size="2K", out="catalogue/")
    ```

    Args:
        prompts: As for `Client.many`.
        client: Makes the client; default `Client.from_env`.
        ask: As for `Client.many`.

    Raises:
        ConfigError: An event loop already runs here (Jupyter, a web framework), or an argument
            cannot work. Nothing was sent.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigError(
            "run_many() is for plain scripts, and an event loop already runs here (in Jupyter it "
            "always does). Write:\n"
            "    async with Client.from_env() as gen:\n"
            "        batch = await gen.many(prompts)\n"
            "Nothing was sent."
        )

    async def main() -> Batch:
        async with client() as gen:
            return await gen.many(prompts, **ask)

    return anyio.run(main)
