"""The code of the README runs as it stands, against the fake server."""

import asyncio
import dataclasses
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from nbp_async import BatchRun, Client, Profile, Retry, Webhook, read_run
from nbp_async._profiles import find_profile
from nbp_async.fake import FakeServer, faults
from tests.object_server import CREDENTIALS, object_server

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(with_words: str) -> str:
    (found,) = [text for text in BLOCKS if with_words in text]
    return found


def in_a_function(code: str) -> str:
    return "async def main():\n" + textwrap.indent(code, "    ")


async def test_the_first_lines_make_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.txt").write_text("a red bicycle\na green one\n")
    monkeypatch.chdir(tmp_path)
    async with FakeServer(latency=0.0) as server:
        monkeypatch.setenv("NBP_BASE_URL", server.gemini_url)
        monkeypatch.setenv("NBP_API_KEY", server.key)
        names: dict[str, Any] = {}
        exec(block("Client.from_env()").replace("asyncio.run(main())", ""), names)
        await names["main"]()
    assert "2 ok" in capsys.readouterr().out
    assert len(list((tmp_path / "catalogue").glob("0*"))) == 2


async def test_what_comes_back_is_read_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    async with Client.fake(server={"latency": 0.0}) as gen:
        batch = await gen.many(["a red bicycle"], size="1K")
        exec(block("for outcome in batch"), {"batch": batch})
    assert "(1024, 1024) png" in capsys.readouterr().out


async def test_a_run_goes_on_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "async def main(gen, prompts):\n" + textwrap.indent(block("max_cost="), "    ")
    names: dict[str, Any] = {}
    exec(code + "    return batch\n", names)
    async with Client.fake(server={"latency": 0.0}) as gen:
        first = await names["main"](gen, ["a", "b"])
        second = await names["main"](gen, ["a", "b", "c"])
    assert second.billing.saved == first.billing.spent
    assert len(second.images) == 3


async def test_a_notebook_shows_a_plan_and_goes_on_beside_a_call_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "async def main(gen, prompts):\n" + textwrap.indent(block("gen.start("), "    ")
    names: dict[str, Any] = {}
    exec(code + "    return batch, running\n", names)
    async with Client.fake(server={"latency": 0.0}) as gen:
        batch, running = await names["main"](gen, ["a", "b"])
        assert gen.server is not None
        assert gen.server.stats().requests == 2
    assert len(batch.images) == running.progress.there == 2


async def test_tasks_are_asked_for_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "async def main(gen, prompts):\n" + textwrap.indent(block('via="poll"'), "    ")
    names: dict[str, Any] = {}
    exec(code + "    return batch\n", names)
    async with Client.fake(server={"latency": 0.2}) as gen:
        assert len((await names["main"](gen, ["a", "b"])).images) == 2
        assert gen.server is not None
        assert gen.server.stats().tasks == 2


async def test_services_call_back_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"os": os, "Webhook": Webhook}
    code = "async def main(Client, prompts):\n" + textwrap.indent(block('via="webhook"'), "    ")
    exec(code + "    return batch\n", names)
    async with FakeServer(latency=0.2) as server:
        monkeypatch.setenv("HOOK_SECRET", server.webhook_secret)

        class Here:
            """The same client, with both ends on this machine."""

            @staticmethod
            def from_env(*, endpoint: str, webhook: Webhook) -> Client:
                url = server.service_url(endpoint)
                known = dataclasses.replace(find_profile(endpoint), base_url=url)
                here = dataclasses.replace(webhook, public_url="", port=0)
                return Client(known, server.key, webhook=here)

        assert len((await names["main"](Here, ["a", "b"])).images) == 2
        assert server.stats().looks == 2


async def test_batch_jobs_are_looked_after_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with FakeServer(batch_latency=0.0) as server:
        monkeypatch.setenv("NBP_BASE_URL", server.gemini_url)
        monkeypatch.setenv("NBP_API_KEY", server.key)
        async with Client.from_env() as gen:
            await gen.many(["a", "b"], via="batch", size="1K", out="catalogue/", wait=False)
        code = "async def main(BatchRun):\n" + textwrap.indent(block("BatchRun("), "    ")
        names: dict[str, Any] = {}
        exec(code + "    return batch\n", names)
        async with BatchRun("catalogue/") as run:
            while any(job.state == "open" for job in await run.jobs()):
                await asyncio.sleep(0.01)
        assert len((await names["main"](BatchRun)).images) == 2


def test_a_file_that_describes_a_service_is_an_endpoint(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "acme.toml").write_text(text)
    profile = Profile.from_toml(tmp_path / "acme.toml")
    assert (profile.name, profile.key_names) == ("acme", ("ACME_API_KEY",))


async def test_a_run_is_reported_on_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "async def main(gen, prompts):\n" + textwrap.indent(block("retry_failed"), "    ")
    names: dict[str, Any] = {}
    exec(code + "    return frame, read_run('catalogue/').to_polars()\n", names)
    async with Client.fake(server={"latency": 0.0}) as gen:
        assert gen.server is not None
        gen.server.script(faults.status(400))
        frame, whole = await names["main"](gen, ["a", "b"])
        assert frame["spent_usd"].sum() == whole["spent_usd"].sum() == gen.server.bank.billed
    assert frame["ok"].tolist() == whole["ok"].to_list() == [True, True]
    assert repr(read_run("catalogue/")) == f"Report({tmp_path / 'catalogue'}, 2 of 2, $0.268)"


async def test_images_go_to_a_store_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with object_server(tmp_path) as store:
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": store.url}).items():
            monkeypatch.setenv(name, value)
        (store.root / "shop-images").mkdir()
        code = "async def main(gen, prompts):\n" + textwrap.indent(block("aread()"), "    ")
        names: dict[str, Any] = {}
        exec(code + "    return batch\n", names)
        async with Client.fake(server={"latency": 0.0}) as gen:
            batch = await names["main"](gen, ["a", "b"])
        assert len(list((store.root / "shop-images" / "catalogue").iterdir())) == 2
    assert [image.location[:29] for image in batch.images] == ["s3://shop-images/catalogue/00"] * 2


def test_the_settings_are_real() -> None:
    names: dict[str, Any] = {"api_key": "sk-1234567890123"}
    exec(block("Timeouts(connect"), names)
    exec('Retry(ambiguous="resend", ambiguous_budget_usd="5")', {"Retry": Retry})


@pytest.mark.looptime
async def test_the_fake_client_pays_what_the_bank_says() -> None:
    names: dict[str, Any] = {"Client": Client}
    exec(in_a_function(block("Client.fake")), names)
    await names["main"]()


async def test_the_fixture_is_used_as_shown(nbp_server: FakeServer) -> None:
    names: dict[str, Any] = {}
    exec(block("nbp_server"), names)
    await asyncio.wait_for(names["test_a_cut_connection_is_not_paid_twice"](nbp_server), 30)


def test_every_block_is_tested() -> None:
    assert len(BLOCKS) == 14


async def test_the_faults_of_tasks_are_ordered_as_shown() -> None:
    names: dict[str, Any] = {"FakeServer": FakeServer, "faults": faults}
    exec(in_a_function(block("task_faults")), names)
    await names["main"]()


async def test_listeners_hear_as_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeServer(latency=0.0) as server:
        monkeypatch.setenv("NBP_BASE_URL", server.openai_url)
        monkeypatch.setenv("NBP_API_KEY", server.key)
        names: dict[str, Any] = {}
        exec(block("class Bills(Listener)"), names)
        async with names["client"] as gen:
            await gen.many(["a red bicycle"], size="1K")
    said = capsys.readouterr().out
    assert said.startswith("yes 0.134")
    assert "Image(index=0, " in said
