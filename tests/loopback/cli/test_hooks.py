"""`nbp many --via webhook`: the service calls back, and the command looks as soon as it does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nbp_async.cli.app import app
from nbp_async.fake import FakeServer
from tests.loopback.cli.vendor import KEY
from tests.loopback.webhooks.sender import SECRET

MANY = "many prompts.txt --out shop --size 1K --via webhook --listen-port 0"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a red bicycle\na green one\n")
    with FakeServer.in_thread(keys=[KEY], latency=0.1, webhook_secret=SECRET) as running:
        yield running


def nbp(server: FakeServer, words: str, secret: str = "") -> Result:
    env = {"NBP_BASE_URL": server.openai_url, "NBP_API_KEY": KEY, "NBP_WEBHOOK_SECRET": secret}
    done = CliRunner().invoke(app, words.split(), env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert SECRET not in done.output
    return done


@pytest.mark.parametrize("where", ["variable", "another variable", "file"])
def test_images_come_when_the_service_calls_back(
    server: FakeServer, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv("HOOKS", SECRET)
    more = {"variable": "", "another variable": " --secret-env HOOKS"}
    told = more.get(where, " --secret-file secret --inbox inbox.sqlite3")
    done = nbp(server, MANY + told, SECRET if where == "variable" else "")
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 2
    stats = server.stats()
    assert stats.looks == stats.webhooks_delivered == 2, "one look each, and none in vain"
    assert server.bank.images == 2
    assert Path("inbox.sqlite3").exists() == (where == "file")


def test_nothing_is_sent_where_nobody_could_call_back(server: FakeServer) -> None:
    for words, why in [
        (MANY, "NBP_WEBHOOK_SECRET is not set"),
        (f"{MANY} --public-url ftp://hooks.shop.example", "not an http"),
        (
            f"{MANY} --listen-host 0.0.0.0",
            "--public-url: give the https:// address at which the sender reaches us",
        ),
        (MANY.replace("webhook", "poll") + " --inbox in.sqlite3", "--inbox needs --via webhook"),
    ]:
        done = nbp(server, words, "" if "SECRET" in why else SECRET)
        assert (done.exit_code, done.stdout) == (2, ""), done.output
        assert why in done.stderr
    assert not server.stats().requests


def test_a_port_that_is_taken_is_said_before_anything_is_sent(server: FakeServer) -> None:
    port = server.openai_url.split(":")[2].split("/")[0]
    done = nbp(server, MANY.replace("--listen-port 0", f"--listen-port {port}"), SECRET)
    assert done.exit_code == 2
    assert "Nothing was sent" in done.stderr
    assert server.bank.images == 0
