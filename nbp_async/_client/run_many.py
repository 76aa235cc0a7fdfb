"""For plain scripts: the client without `async`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from nbp_async._base.errors import ConfigError
from nbp_async._calls.batch import Batch
from nbp_async._client.client import Client
from nbp_async._client.client_options import keywords_of
from nbp_async._client.keyword_options import takes
from nbp_async._client.options import CallOptions
from nbp_async._flow.job_source import Prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOptions(CallOptions):
    """The options of `run_many`.

    Attributes:
        client: Makes the client; default `Client.from_env`.
    """

    client: Callable[[], Client] = Client.from_env


@takes(ScriptOptions)
def run_many(prompts: Prompts, options: ScriptOptions) -> Batch:
    """Make one image per prompt from a plain script, without async: `Client.many` in a loop.

    ```python
    batch = run_many(["a red bicycle", "a green one"], size="2K", out="catalogue/")
    ```

    Raises:
        ConfigError: An event loop already runs here (Jupyter, a web framework), or an argument
            cannot work. Nothing was sent.
        Exception: What else `Client.many` raises; `partial` of it has what was made and paid for.
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
        )

    async def main() -> Batch:
        async with options.client() as gen:
            return await gen.many(prompts, **keywords_of(options, CallOptions))

    return anyio.run(main)
