"""A loop whose clock goes faster than real time."""

import asyncio
import time

import pytest

from bench.fast_loop import run_fast


def test_an_hour_of_the_loop_is_a_moment() -> None:
    async def main() -> tuple[float, list[str]]:
        loop, said = asyncio.get_running_loop(), list[str]()
        began = loop.time()
        loop.call_later(1800, said.append, "half")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.sleep(7200)
        return loop.time() - began, said

    began = time.monotonic()
    span, said = run_fast(main(), 20_000.0)
    assert span >= 3600
    assert said == ["half"]
    assert time.monotonic() - began < 60


def test_threads_and_sockets_work_on_it() -> None:
    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(await asyncio.to_thread(lambda: b"hello\n"))
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
        return answer

    assert run_fast(main(), 50.0) == b"hello\n"
