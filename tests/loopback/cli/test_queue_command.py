"""`nbp queue`: counts, money and limits of a run's queue, without a key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nbp_async.cli.app import app
from tests.databases import database
from tests.loopback.cli.vendor import Shell, Vendor

KEY = {"NBP_BASE_URL": "http://127.0.0.1:9/v1", "NBP_API_KEY": "sk-test-0123456789abcdef"}
NO_KEY = {"NBP_BASE_URL": None, "NBP_API_KEY": None}


@pytest.fixture(params=["folder", "database"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What names the run: three images of ann's are queued in it."""
    if request.param == "folder":
        run = str(tmp_path / "run")
        submit(run, tmp_path)
        yield run
        return
    with database() as run:
        submit(run, tmp_path)
        yield run


def nbp(*words: str, env: dict[str, Any] | None = None, text: str = "") -> Result:
    return CliRunner().invoke(app, words, env=NO_KEY if env is None else env, input=text)


def submit(run: str, folder: Path, *more: str) -> Result:
    out = ("--out", str(folder / "out")) if "://" in run else ()
    words = ("submit", "-", "--journal", run, *out, "--size", "1K", "--owner", "ann", *more)
    return nbp(*words, env=KEY, text="a\nb\nc\n")


def told(*words: str) -> dict[str, Any]:
    """What a command says with `--json`."""
    done = nbp(*words, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tickets_of(where: str) -> list[str]:
    """Their numbers: of a database they count up over all its runs."""
    rows = nbp("show", where, "--json").stdout.splitlines()
    return [str(json.loads(row)["ticket"]) for row in rows]


def test_tickets_are_counted_cancelled_and_queued_again(where: str) -> None:
    first, second, third = tickets_of(where)
    assert told("queue", "counts", "--journal", where)["ready"] == 3
    done = nbp("queue", "cancel", first, "999999", "--journal", where)
    assert (done.exit_code, done.stdout) == (3, f"{first}\tcancelled\n")
    assert "This run has no ticket 999999." in done.stderr
    counts = told("queue", "counts", "--journal", where)
    assert (counts["ready"], counts["failed"]) == (2, 1)
    done = nbp("queue", "requeue", first, second, "--journal", where, env=KEY)
    assert (done.exit_code, done.stdout) == (0, f"{first}\n{second}\n"), done.output
    assert told("queue", "counts", "--journal", where)["ready"] == 3
    done = nbp("queue", "requeue", "999999", "--journal", where, env=KEY)
    assert (done.exit_code, done.stdout) == (3, "")
    assert nbp("queue", "cancel", third, "--journal", where).exit_code == 0


def test_a_pause_is_kept_with_its_reason(where: str) -> None:
    assert nbp("queue", "pause", "--reason", "for the night", "--journal", where).exit_code == 0
    assert told("queue", "counts", "--journal", where)["paused"] == "for the night"
    assert nbp("queue", "resume", "--journal", where).exit_code == 0
    lines = nbp("queue", "counts", "--journal", where).stdout.splitlines()
    assert lines[0] == "ready    3"
    assert lines[-1] == "paused   none"


def test_an_owner_has_a_budget_and_an_account(where: str, tmp_path: Path) -> None:
    budget = ("queue", "budget", "ann", "--journal", where)
    assert told(*budget) == {}
    assert told(*budget[:3], "0.50", *budget[3:], "--per", "month") == {"month": 0.5}
    done = submit(where, tmp_path)
    assert done.exit_code == 3
    assert "is left of what its owner may spend" in done.stderr
    account = ("queue", "account", "--journal", where)
    held = told(*account)["held"]
    assert 0.4 <= held <= 0.5
    assert told(*account, "--owner", "ann", "--since", "2020-01-01")["held"] == held
    assert told(*account, "--owner", "bob")["held"] == 0
    assert told(*account, "--until", "2020-01-01")["held"] == 0
    assert "held    $0.4" in nbp(*account).stdout
    assert told(*budget[:3], "none", *budget[3:], "--per", "month") == {}
    assert submit(where, tmp_path).exit_code == 0


def test_limits_of_all_processes_are_set_one_by_one(tmp_path: Path) -> None:
    with database() as run:
        submit(run, tmp_path)
        limit = ("queue", "limit", "--journal", run)
        none = told(*limit)
        assert (none["max_in_flight"], none["rate_s"], none["spend_usd"]) == (None, None, None)
        told(*limit, "--max-in-flight", "40", "--rate", "120/min")
        some = told(*limit, "--spend", "$50/10min", "--burst", "3")
        assert some == {
            "max_in_flight": 40,
            "rate_s": 0.5,
            "burst": 3,
            "spend_usd": 50.0,
            "spend_s": 600.0,
        }
        assert told(*limit) == some
        left = told(*limit, "--rate", "none", "--max-in-flight", "none", "--spend", "none")
        assert (left["max_in_flight"], left["rate_s"], left["spend_usd"]) == (None, None, None)
        for words in (("--max-in-flight", "auto"), ("--rate", "60"), ("--spend", "much")):
            done = nbp(*limit, *words)
            assert (done.exit_code, done.stdout) == (2, "")
            assert words[0] in done.stderr


def test_a_run_in_a_folder_has_no_limits_for_many(tmp_path: Path) -> None:
    submit(str(tmp_path / "run"), tmp_path)
    done = nbp("queue", "limit", "--journal", str(tmp_path / "run"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "One process works on a run in a file" in done.stderr


async def test_changes_are_watched_and_what_is_out_is_ended_at_its_price(
    shell: Shell, vendor: Vendor
) -> None:
    with database() as run:
        journal = ("--journal", run)
        started = await shell.nbp("submit", "-", *journal, "--out", "out", text="a\n")
        (_, (ticket,), _) = await started.end()
        watching = await shell.nbp("queue", "watch", *journal, "--json", key="")
        vendor.release.clear()
        working = await shell.nbp("work", *journal, "--out", "out", "--forever", "--json")
        await vendor.arrived(1)
        done = await (await shell.nbp("queue", "cancel", ticket, *journal, key="")).end()
        assert done[:2] == (3, [f"{ticket}\tout"])
        assert "What is in flight goes on: see --accept-price." in done[2]
        cancel = ("queue", "cancel", ticket, "--accept-price", *journal)
        done = await (await shell.nbp(*cancel, key="")).end()
        assert done[:2] == (0, [f"{ticket}\tout"])
        row = json.loads(await working.writes())
        assert (row["ticket"], row["billing"]) == (int(ticket), "maybe")
        working.terminate()
        code, _, err = await working.end()
        assert code == 3
        assert "1 image cancelled in flight" in err
        states: list[dict[str, Any]] = []
        while not states or states[-1]["state"] != "failed":
            states.append(json.loads(await watching.writes()))
        assert states[-1]["is_cancelled"]
        assert states[-1]["maybe_usd"] > 0
        watching.press_ctrl_c()
        assert (await watching.end())[0] == 130


def test_show_and_export_name_what_is_queued_and_what_it_holds(where: str) -> None:
    numbers = tickets_of(where)
    lines = nbp("show", where).stdout.splitlines()
    assert "queued     3: nbp work makes them" in lines
    assert "set aside  $0.440 for what is queued" in lines
    table = [line.split("\t") for line in nbp("show", where, "--table").stdout.splitlines()]
    assert [(row[0], row[1], row[3]) for row in table] == [
        (number, "queued", "($0.147)") for number in numbers
    ]
    rows = [json.loads(line) for line in nbp("show", where, "--json").stdout.splitlines()]
    assert [(row["state"], row["prompt"]) for row in rows] == [("queued", p) for p in "abc"]
    assert sum(row["held_usd"] for row in rows) == pytest.approx(0.44, abs=0.001)
    heading, *cells = nbp("export", where).stdout.splitlines()
    place = heading.split(",").index("ticket")
    assert [cell.split(",")[place] for cell in cells] == numbers
    assert nbp("queue", "cancel", *numbers, "--journal", where).exit_code == 0
    assert "set aside" not in nbp("show", where).stdout
