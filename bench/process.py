"""Processes of their own: the light server, and one worker a run."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.lists import Lists
from bench.meter import Reading
from bench.worker import Task


@asynccontextmanager
async def light_server(
    body: bytes, *, hold: float = 0.0, certificate: str = ""
) -> AsyncIterator[str]:
    """Start the light server; yields its base URL."""
    with tempfile.NamedTemporaryFile(prefix="nbp-bench-") as file:
        file.write(body)
        file.flush()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.light_server",
            "--hold", str(hold), "--body", file.name, "--certificate", certificate,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            port = int(await process.stdout.readline())
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}/v1"
        finally:
            process.stdin.close()
            await process.wait()


async def run_worker(task: Task, *, limit: float) -> Reading:
    """Run one task in a fresh interpreter; at most `limit` seconds.

    Raises:
        RuntimeError: It failed; its words are in the message.
        TimeoutError: It took too long.
    """
    return Reading(**await _found("bench.worker", json.dumps(asdict(task)), limit=limit))


async def run_lists(count: int, *, limit: float = 3600) -> Lists:
    """`bench.lists` in a fresh interpreter."""
    return Lists(**await _found("bench.lists", str(count), limit=limit))


async def _found(module: str, argument: str, *, limit: float) -> dict[str, Any]:
    """The JSON that a module prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, argument,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(limit):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"{module} {argument} failed:\n{err.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(out)
    return found


def self_signed(folder: Path) -> tuple[str, str]:
    """A certificate authority and a certificate for 127.0.0.1, as two files: (ca, certificate)."""
    import trustme

    authority = trustme.CA()
    ca, certificate = folder / "ca.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return str(ca), str(certificate)
