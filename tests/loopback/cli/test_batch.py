"""`nbp many --via batch`: jobs are handed in, and the same command goes on with them."""

from pathlib import Path

from nbp_async.fake import FakeServer
from tests.loopback.cli.vendor import KEY, Shell


async def test_jobs_are_handed_in_once(tmp_path: Path) -> None:
    with FakeServer.in_thread(keys=[KEY], batch_latency=7200.0) as server:
        shell = Shell(tmp_path, server.gemini_url)
        try:
            for _ in range(2):
                nbp = await shell.nbp(
                    "many",
                    "-",
                    "--out",
                    "shop",
                    "--via",
                    "batch",
                    "--no-wait",
                    "--size",
                    "1K",
                    text="a red bicycle\na green one\n",
                )
                code, out, err = await nbp.end()
                assert (code, out) == (3, [])
                assert "batch job" in err
                created = [r for r in server.received if r.path.endswith("batchGenerateContent")]
                assert len(created) == 1, "the second call asks for what the first handed in"
        finally:
            await shell.aclose()
        assert server.bank.images == 0


async def test_one_image_is_no_batch(tmp_path: Path) -> None:
    with FakeServer.in_thread(keys=[KEY]) as server:
        shell = Shell(tmp_path, server.gemini_url)
        try:
            nbp = await shell.nbp("gen", "a bicycle", "--via", "batch")
            code, out, err = await nbp.end()
            assert (code, out) == (2, [])
            assert "Nothing was sent" in err
        finally:
            await shell.aclose()
