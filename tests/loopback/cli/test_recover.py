"""`nbp recover`: kept answers become images, or are named with why not."""

import base64
import json
from pathlib import Path

from nbp_async import Client, Profile
from tests.loopback.cli.vendor import Shell
from tests.pictures import png
from tests.raw_server import answering, framed, serving

PNG = png(1024, 1024)
PART = {"inlineData": {"data": base64.b64encode(PNG).decode()}}
GEMINI = json.dumps({"candidates": [{"content": {"parts": [PART]}}]}).encode()


async def run_of(out: Path, body: bytes) -> str:
    """A run whose only answer cannot be read; where that is kept."""
    async with serving(answering(framed(body))) as server:
        vendor = Profile(name="relay", base_url=server.url.removesuffix("/images"))
        async with Client(vendor, "sk-test-0123456789abcdef") as gen:
            (failed,) = await gen.many(["a red bicycle"], size="1K", out=out)
    return failed.unread


async def nbp(folder: Path, *words: str) -> tuple[int, list[str], str]:
    shell = Shell(folder, "http://127.0.0.1:9/v1")
    try:
        code, out, err = await (await shell.nbp(*words, key="")).end()
    finally:
        await shell.aclose()
    return code, out, " ".join(err.split())


async def test_a_kept_answer_becomes_an_image_without_a_key(tmp_path: Path) -> None:
    unread = await run_of(tmp_path / "run", GEMINI)
    code, out, err = await nbp(tmp_path, "show", "run")
    assert "kept answers 1 that could not be read" in " ".join(" ".join(out).split()), err
    code, out, err = await nbp(tmp_path, "recover", "run", "--dialect", "gemini")
    assert code == 0, err
    assert [Path(line).read_bytes() for line in out] == [PNG]
    assert "1 image recovered, for which $0.134 was paid" in err
    assert not Path(unread).exists()
    code, out, err = await nbp(tmp_path, "recover", "run")
    assert (code, out) == (0, [])
    assert "Nothing to recover" in err


async def test_what_still_cannot_be_read_is_named(tmp_path: Path) -> None:
    unread = await run_of(tmp_path / "run", b'{"data": [{"b64_json": "iVBO')
    code, out, err = await nbp(tmp_path, "recover", "run")
    assert (code, out) == (3, [])
    assert "1 still cannot be read: #1 a red bicycle: " in err
    assert unread in err


async def test_where_there_is_nothing_it_is_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = await nbp(tmp_path, "recover", "empty")
    assert code == 2
    assert "There is no run in empty" in err
