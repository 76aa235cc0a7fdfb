"""`nbp export`: a run for spreadsheets and other programs."""

import csv
import io
import json
import sys
from decimal import Decimal
from pathlib import Path

import polars
import pytest
from click.testing import CliRunner, Result

from nbp_async import Client, read_run
from nbp_async._journal.base import JOURNAL
from nbp_async.cli.app import app
from nbp_async.fake import FakeServer, faults
from tests.loopback.oracle import assert_settled

FORMULA = "=HYPERLINK(A1)\nin two lines"


def export(*words: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, words)])


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    """Two images and one that may have been billed; the books are checked."""
    folder = tmp_path / "run"
    async with FakeServer(latency=0.0) as server:
        server.script(faults.ok(), faults.disconnect())
        async with Client(server.openai_url, server.key) as gen:
            outcomes = [
                *await gen.many([FORMULA], size="1K", out=folder),
                *await gen.many(["ein Fahrrad, rot: „hübsch“"], size="1K", out=folder),
                *await gen.many(["c"], size="4K", out=folder),
            ]
            await assert_settled(gen, server, outcomes, out=folder)
    return folder


async def test_csv_goes_to_stdout_and_holds_every_item(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    done = export(run)
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout_bytes.decode(), newline="")))
    assert [row["state"] for row in rows] == ["stored", "failed", "stored"]
    assert rows[0]["prompt"] == f"'{FORMULA}"
    assert rows[1]["prompt"] == "ein Fahrrad, rot: „hübsch“"
    assert sum(Decimal(row["spent_usd"]) for row in rows) == read_run(run).totals.spent
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


async def test_parquet_has_the_types_and_the_exact_dollars(run: Path, tmp_path: Path) -> None:
    assert export(run, "--to", "parquet", "-o", tmp_path / "run.parquet").exit_code == 0
    frame = polars.read_parquet(tmp_path / "run.parquet")
    report = read_run(run)
    assert frame.equals(report.to_polars())
    assert frame["spent_usd"].sum() == report.totals.spent == Decimal("0.374")
    assert frame["maybe_usd"].sum() == report.totals.maybe
    assert report.to_pandas()["path"].tolist() == frame["path"].to_list()
    piped = export(run, "--to", "parquet")
    assert polars.read_parquet(io.BytesIO(piped.stdout_bytes)).equals(frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.parquet"]


async def test_json_is_one_array(run: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("old")
    assert export(run, "--to", "json", "-o", tmp_path / "run.json").exit_code == 0
    rows = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert [(row["ok"], row["prompt"] == FORMULA) for row in rows] == [
        (True, True),
        (False, False),
        (True, False),
    ]


async def test_without_polars_it_says_what_to_install_and_leaves_no_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    done = export(run, "--to", "parquet", "-o", tmp_path / "run.parquet")
    assert done.exit_code == 2
    assert 'pip install "nbp-async[frames]"' in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


async def test_where_it_cannot_write_it_says_so(run: Path, tmp_path: Path) -> None:
    done = export(run, "-o", tmp_path / "none" / "run.csv")
    assert done.exit_code == 2
    assert "No such file" in done.stderr


def test_a_folder_without_a_run_is_misuse_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    assert export(tmp_path).exit_code == 2
    (tmp_path / JOURNAL).write_bytes(b"not a database")
    assert export(tmp_path).exit_code == 3
