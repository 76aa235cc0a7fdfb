"""A client and the threads of a program: real threads before the fake server."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from nbp_async import Client, ClosedError, Image, Limits
from nbp_async.fake import FakeServer

KEY = "sk-test-0123456789abcdef"
THREADS = 20


async def test_the_first_event_loop_owns_a_client_and_all_others_are_refused() -> None:
    """Twenty loops at once shared nothing but the client: each had limits of its own."""
    async with FakeServer(latency=0, keys=[KEY]) as server:
        client = Client(server.openai_url, KEY, limits=Limits(max_in_flight=5))
        together = threading.Barrier(THREADS)

        async def use() -> Image:
            image = await client.one("a red bicycle", size="1K")
            await client.aclose()
            return image

        def in_a_loop_of_its_own() -> Image | ClosedError:
            together.wait()
            try:
                return asyncio.run(use())
            except ClosedError as exc:
                return exc

        with ThreadPoolExecutor(THREADS) as pool:
            loop = asyncio.get_running_loop()
            work = [loop.run_in_executor(pool, in_a_loop_of_its_own) for _ in range(THREADS)]
            ends = await asyncio.gather(*work)
        assert sum(isinstance(end, Image) for end in ends) == 1
        assert server.stats().requests == 1


async def test_another_loop_cannot_close_a_client_that_is_in_use() -> None:
    async with Client.fake(server={"latency": 0}) as client:

        def close_elsewhere() -> str:
            try:
                asyncio.run(client.aclose())
            except ClosedError as exc:
                return str(exc)
            return "closed"

        assert "another event loop" in await asyncio.to_thread(close_elsewhere)
        image = await client.one("a red bicycle", size="1K")
        assert image.ok
