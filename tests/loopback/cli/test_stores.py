"""`nbp many --out s3://…`: images in a store, the run's journal here, and both are shown."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nbp_async.cli.app import app
from tests.loopback.cli.vendor import Shell, Vendor
from tests.object_server import CREDENTIALS, ObjectServer, object_server

PROMPTS = "a red bicycle\na green one\n"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


async def many(shell: Shell, *words: str) -> tuple[int, list[str], str]:
    nbp = await shell.nbp("many", "-", "--size", "1K", *words, text=PROMPTS)
    return await nbp.end()


async def test_images_go_to_the_store_and_the_same_command_goes_on(
    shell: Shell, vendor: Vendor, shared: ObjectServer, tmp_path: Path
) -> None:
    place = str(shared.address(tmp_path.name))
    code, out, err = await many(shell, "--out", place, "--journal", "books/run.sqlite3")
    assert code == 0, err
    root, _, query = place.partition("?")
    assert all(line.startswith(root) and line.endswith(query) for line in out)
    assert len([name for name in shared.objects() if name.startswith(tmp_path.name)]) == 2

    code, again, err = await many(
        shell, "--out", place, "--journal", "books/run.sqlite3", "--json", "--verify"
    )
    assert sorted(json.loads(line)["path"] for line in again) == sorted(out)
    assert "were there already" in err
    assert len(vendor.asked) == 2

    journal = tmp_path / "books" / "run.sqlite3"
    assert f"2 in {place}" in " ".join(invoke("show", journal).stdout.split())
    assert set(out) <= set(
        invoke("show", journal, "--table").stdout.replace("\t", "\n").split("\n")
    )
    assert all(line in invoke("export", journal, "--to", "csv").stdout for line in out)
    page = tmp_path / "page.html"
    assert invoke("show", journal, "--html", page).exit_code == 0
    assert "In a store" in page.read_text()
    assert root in page.read_text()


async def test_a_dry_run_says_where_and_how_much_and_asks_no_store(
    shell: Shell, vendor: Vendor
) -> None:
    place = "s3://nowhere/run?endpoint=http://127.0.0.1:9"
    code, out, err = await many(shell, "--out", place, "--journal", "run.sqlite3", "--dry-run")
    assert code == 0, err
    assert f"to {place}" in out[-1]
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "s3://images/run"], "--journal run.sqlite3"),
        (["--out", "s3://key:hushhush@images/run", "--journal", "j"], "environment"),
        (["--out", "ftp://images/run", "--journal", "j"], "is not a known store"),
        (["--out", "s3:/images/run"], "must be a folder"),
    ],
)
async def test_what_cannot_work_is_misuse_and_buys_nothing(
    shell: Shell, vendor: Vendor, words: list[str], says: str
) -> None:
    code, out, err = await many(shell, *words)
    assert (code, out) == (2, [])
    assert says in " ".join(err.split())
    assert "hushhush" not in err
    assert vendor.asked == []


async def test_wrong_credentials_buy_nothing(
    shell: Shell, vendor: Vendor, shared: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hushhush")
    code, _, err = await many(shell, "--out", str(shared.address()), "--journal", "run.sqlite3")
    assert code == 3
    assert "SignatureDoesNotMatch" in err
    assert "hushhush" not in err
    assert vendor.asked == []
