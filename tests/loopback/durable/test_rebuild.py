"""A run without its journal, rebuilt: the same call sends nothing, and the account is the same."""

from pathlib import Path
from typing import Any

import pytest

from nbp_async import Client, JournalError, ParkedError, Profile, read_run, rebuild_run
from nbp_async._journal.base import JOURNAL
from nbp_async.fake import FakeServer
from tests.loopback.cli.vendor import Shell
from tests.loopback.oracle import assert_settled
from tests.pictures import png


def client(server: FakeServer) -> Client:
    profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
    return Client(profile, server.key)


PROMPTS: list[Any] = [
    "a",
    "a",
    {"text": "b", "n": 3, "seed": 7},
    {"text": "c", "aspect_ratio": "16:9", "size": "2K"},
    {"text": "d", "extra": {"style": "vivid", "nested": {"x": [1, 2.5, None]}}},
    {"text": "e", "references": [png(64, 64)]},
    "ä – ö",
]
IMAGES = 9


@pytest.mark.parametrize("journal", [None, "books.sqlite3"])
async def test_the_same_call_after_a_rebuild_sends_nothing(
    tmp_path: Path, journal: str | None
) -> None:
    out = tmp_path / "out"
    where = out if journal is None else tmp_path / journal
    options: dict[str, Any] = {"out": out, "size": "1K"}
    if journal is not None:
        options["journal"] = where
    async with FakeServer(latency=0.0, delivery="b64_json") as server, client(server) as gen:
        first = await gen.many(PROMPTS, **options)
        before = read_run(where)
        path = out / JOURNAL if journal is None else where
        path.unlink()
        sent = server.stats().requests
        with pytest.raises(JournalError, match="A new journal would buy its images again"):
            await gen.many(PROMPTS, **options)
        plan = gen.many(PROMPTS, **options)
        with pytest.raises(JournalError, match="A new journal would buy its images again"):
            plan.preview()
        plan.close()

        report = rebuild_run(where, out=out)
        assert (report.matched, report.unclear, report.without) == (IMAGES, 0, 0)
        preview = (plan := gen.many(PROMPTS, **options)).preview()
        assert preview is not None
        assert (preview.there, preview.to_send) == (IMAGES, 0)
        again = await plan
        assert server.stats().requests == sent
        assert [image.path for image in again.images] == [image.path for image in first.images]
        assert [image.sha256 for image in again.images] == [i.sha256 for i in first.images]
        assert again.billing.saved == first.billing.spent == before.totals.spent
        after = read_run(where)
        assert (after.owner, after.states, after.totals) == (
            before.owner,
            before.states,
            before.totals,
        )
        await assert_settled(gen, server, first)


async def test_images_without_their_manifest_are_not_bought_again_unasked(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0, delivery="b64_json") as server, client(server) as gen:
        first = await gen.many(["a", "b"], size="1K", out=tmp_path)
        for path in [*tmp_path.glob("journal.*"), *tmp_path.glob("manifest.*")]:
            path.unlink()
        report = rebuild_run(tmp_path)
        assert (report.matched, report.unclear) == (0, 2)
        preview = (plan := gen.many(["a", "b", "c"], size="1K", out=tmp_path)).preview()
        assert preview is not None
        assert (preview.unclear, preview.to_send) == (2, 1)
        again = await plan
        assert [type(failure.error) for failure in again.failures] == [ParkedError] * 2
        assert first.images[0].path is not None
        assert first.images[0].path.name in str(again.failures[0].error)
        assert server.bank.images == 3
        asked = await gen.many(
            ["a", "b", "c"], size="1K", out=tmp_path, resend_ambiguous=True, max_cost=9
        )
        assert len(asked.images) == 3
        assert server.bank.images == 5


async def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0, delivery="b64_json") as server, client(server) as gen:
        await gen.many(["a", "b"], size="1K", out=tmp_path / "run")
        (tmp_path / "run" / JOURNAL).unlink()
        shell = Shell(tmp_path, server.openai_url)
        try:
            code, out, err = await (await shell.nbp("rebuild", "run", key="")).end()
            assert (code, err) == (0, "")
            assert out[0] == "2 images matched · $0.268 spent"
            assert out[1].startswith("kept: ")
            assert out[1].endswith("journal.old-1.jsonl")
            code, out, err = await (await shell.nbp("rebuild", "nowhere/else", key="")).end()
            assert code == 2
            assert "There is no run in nowhere/else" in err
            (tmp_path / "run" / "000009-5f3a9c01d2e4.png").write_bytes(b"paid")
            code, out, err = await (await shell.nbp("rebuild", "run", key="")).end()
            assert code == 3
            assert out[1].startswith("1 unclear: ")
        finally:
            await shell.aclose()
