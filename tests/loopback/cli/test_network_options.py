"""`nbp` behind a proxy: the options of its commands, and what the doctor says."""

import json
from pathlib import Path

import pytest

from nbp_async.fake import FakeServer
from tests.forward_proxy import ForwardProxy, forward_proxy
from tests.loopback.cli.vendor import KEY, Shell, serve

PASSWORD = "pa55word-of-anna"


async def test_a_run_and_its_links_go_by_the_proxy_of_the_options(tmp_path: Path) -> None:
    async with serve() as vendor, forward_proxy(ForwardProxy(user=f"anna:{PASSWORD}")) as rules:
        shell = Shell(tmp_path, vendor.url)
        way = ["--proxy", rules.with_user(f"anna:{PASSWORD}"), "--header", "X-Team: art"]
        nbp = await shell.nbp("many", "-", "--out", "shop", "--size", "1K", *way, text="a")
        code, out, err = await nbp.end()
        wrong = await shell.nbp("gen", "a", "--proxy", rules.url, "--size", "1K")
        refused, _, words = await wrong.end()
        await shell.aclose()
    assert (code, len(out)) == (0, 1), err
    assert "X-Team: art" in rules.heads[0]
    assert (refused, len(vendor.asked)) == (3, 1)
    assert "http://name:password@host:port" in words
    assert PASSWORD not in err + words


async def test_the_doctor_asks_by_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeServer(latency=0.0, keys=[KEY]) as server:
        port = int(server.base_url.rpartition(":")[2])
        rules = ForwardProxy(leads_to=port, user=f"anna:{PASSWORD}")
        async with forward_proxy(rules):
            monkeypatch.setenv("http_proxy", rules.with_user(f"anna:{PASSWORD}"))
            shell = Shell(tmp_path, f"http://images.invalid:{port}/v1")
            nbp = await shell.nbp("doctor", "--json", "--trust-env")
            code, out, err = await nbp.end()
            await shell.aclose()
    found = {row["name"]: row for row in map(json.loads, out)}
    assert (code, err) == (0, "")
    assert f"calls go by 127.0.0.1:{rules.port}, as http_proxy says" in found["proxy"]["message"]
    assert found["key accepted"]["state"] == "ok"
    assert PASSWORD not in str(out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--proxy", f"socks5://anna:{PASSWORD}@proxy.example"], "--proxy"),
        (["--header", PASSWORD], "write NAME:VALUE"),
        (["--header", f"Authorization: {PASSWORD}"], "pass api_key"),
    ],
)
async def test_what_cannot_work_is_refused_without_its_value(
    tmp_path: Path, words: list[str], says: str
) -> None:
    shell = Shell(tmp_path, "https://images.invalid/v1")
    nbp = await shell.nbp("gen", "a red bicycle", *words)
    code, _, err = await nbp.end()
    await shell.aclose()
    assert code == 2
    assert says in err
    assert PASSWORD not in err
