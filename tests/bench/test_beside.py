"""The README's table: every judgement is right, and what is installed here plays every scene."""

import argparse
import ast
import asyncio
import re
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from bench.beside import load_scenes, scenes
from bench.beside.beside_command import add_arguments, main
from bench.beside.findings import BesideRun, Cell, Row, load_run, save_run, with_earlier
from bench.beside.lab import Lab, PeerFailedError, SeenCall
from bench.beside.measured_rows import SCENES, Bench, proof_of, title_of
from bench.beside.peer_environments import PINS, NotInstalledError, python_with
from bench.beside.peer_table import NBP, PEERS
from bench.beside.peer_task import PeerCall, PeerReply
from bench.beside.readme_table import README, SHIPPED, table_of, with_table, write_readme
from bench.environment import ROOT, environment
from bench.meter import Reading

BY_NAME = {peer.name: peer for peer in PEERS}


def reply(*errors: str, **values: float) -> PeerReply:
    """A reply with a call for each error, "" for none."""
    made = PeerReply(calls=[PeerCall(prompt=f"p{n}", error=e) for n, e in enumerate(errors)])
    for name, value in values.items():
        setattr(made, name, value)
    return made


def made_row(name: str, *texts: str) -> Row:
    cells = [Cell(n, text, {"wall": 1.5}, ["a.py:f"]) for n, text in zip("ab", texts, strict=True)]
    return Row(name, f"row {name}", "2026-11-29T12:00:00+00:00", 0.5, cells)


def made_run(*rows: Row) -> BesideRun:
    return BesideRun(
        command="python -m bench beside",
        versions={"a": "1.0", "b": ""},
        environment=environment((0.0, 0.0, 0.0)),
        rows=list(rows),
    )


@pytest.mark.parametrize(
    ("requests", "billed", "client", "text"),
    [
        (3, "0.402", reply("lost"), "3 requests, $0.40"),
        (1, "0.134", reply("lost", maybe=0.134), "1 request, $0.13, named"),
        (1, "0.134", reply("lost", dollars=0.134), "1 request, $0.13, named"),
        (2, "0.268", reply("lost", maybe=0.134), "2 requests, $0.27"),
        (1, "0", reply("lost"), "1 request, $0.00"),
        (9, "1.206", None, "9 requests, $1.21; not ended"),
    ],
)
def test_a_lost_answer(requests: int, billed: str, client: PeerReply | None, text: str) -> None:
    assert scenes.judge_lost(requests, Decimal(billed), client).text == text


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        ([("a", 0.0), ("b", 0.3), ("c", 0.6), ("a", 2.0)], "again after 2.0 s; 2 others sent"),
        ([("a", 0.0), ("a", 2.2), ("b", 2.3)], "again after 2.2 s; all wait"),
        ([("a", 0.0), ("b", 0.05), ("a", 0.5)], "again after 0.5 s"),
        ([("a", 0.0), ("b", 0.3)], "gives up; 1 others sent"),
        ([], "has not ended"),
    ],
)
def test_a_rate_limit(calls: list[tuple[str, float]], text: str) -> None:
    seen = [SeenCall(prompt, at) for prompt, at in calls]
    assert scenes.judge_rate_limit(seen, "a", reply()).text == text


def test_bounds_sockets_pixels_and_money() -> None:
    assert scenes.judge_started(100).text == "100 sent"
    assert scenes.judge_started(scenes.STARTED).text == "–"
    assert scenes.judge_socket(reply(keep_alive=30)).text == "after 30 s"
    assert scenes.judge_socket(reply()).text == scenes.judge_socket(None).text == "–"
    assert scenes.judge_pixels(["p0", "p1"], reply("", "")).text == "–"
    assert scenes.judge_pixels(["p0", "p1"], reply("", "half")).text == "1 of 2 noticed"
    warned = reply("", "half")
    warned.calls[0].warning = "it is 512x512"
    assert scenes.judge_pixels(["p0", "p1"], warned).text == "2 of 2 noticed"
    assert scenes.judge_money(Decimal("0.402"), reply(dollars=0.4)).text == "$0.40 of $0.40"
    assert scenes.judge_money(Decimal("0.402"), reply(tokens=9)).text == "tokens"
    assert scenes.judge_money(Decimal("0.402"), reply()).text == "–"
    assert scenes.judge_cap(Decimal("0.268")).text == "$0.27 spent"


def test_a_killed_program() -> None:
    half, whole = Decimal("0.268"), Decimal("0.536")
    twice = Counter({"a": 2, "b": 2})
    assert scenes.judge_killed(twice, half, whole, reply()).text == "$0.27 paid twice"
    once, named = Counter({"a": 1, "b": 1}), reply(maybe=0.134)
    found = scenes.judge_killed(once, half, half, named)
    assert found.text == "nothing paid twice, $0.13 named"
    assert scenes.judge_killed(once, half, half, None).text == "has not ended"


def test_weights() -> None:
    made = reply(*[""] * load_scenes.IMAGES, peak=200_000_000, cpu=1.0)
    for call in made.calls:
        call.size = 6_000_000
    assert load_scenes.judge_large(made).text == "10.0 MB, 50 ms"
    made.calls[0].size = 0
    assert load_scenes.judge_large(made).text == "10.0 MB, 50 ms, 1 lost"
    for call in made.calls:
        call.size, call.link = 0, "https://images.example/a.png"
    assert load_scenes.judge_large(made).text == "a link"
    held, bare = reply("", "lost", wall=12.0, cpu=3.0), Reading(2, 10.0, 1.5, 0)
    assert load_scenes.judge_held(held, 2, bare).text == "12.0 s, 1 lost, CPU 2.0"
    over_tls = load_scenes.judge_held(held, 2, bare, https=True)
    assert over_tls.text == "12.0 s, 1 lost, CPU 2.0 (TLS)"
    cells = [Cell(name, "", over_tls.figures, []) for name in "ab"]
    title = title_of("held", cells, full=True)
    assert title == "5,000 calls held for 10 s; bare aiohttp 10.0 s, CPU 1"


@pytest.mark.parametrize(
    ("client", "scene", "text"),
    [
        ("openai", "lost", r"3 requests, \$0\.40"),
        ("openai", "rate-limit", r"again after \d+\.\d s.*"),
        ("openai", "killed", r"\$\d\.\d\d paid twice"),
        ("openai", "pixels", "–"),
        ("openai", "socket", "–"),
        # It sends it again where aiohttp is installed beside it.
        ("google-genai", "lost", r"[12] requests?, \$0\.\d\d"),
        ("google-genai", "rate-limit", "gives up.*"),
        ("google-genai", "money", "tokens"),
        ("google-genai", "large", r"\d+\.\d MB, \d+ ms"),
        ("nbp_async", "lost", r"1 request, \$0\.13, named"),
        ("nbp_async", "cut", r"1 request, \$0\.13, named"),
        ("nbp_async", "rate-limit", r"again after [2-9]\.\d s.*"),
        ("nbp_async", "killed", r"nothing paid twice, \$0\.\d\d named"),
        ("nbp_async", "money", r"\$0\.40 of \$0\.40"),
        ("nbp_async", "cap", r"\$0\.27 spent"),
        ("nbp_async", "pixels", "2 of 2 noticed"),
        ("nbp_async", "bound", "50 sent"),
        ("nbp_async", "socket", "after 30 s"),
        ("nbp_async", "large", r"\d+\.\d MB, \d+ ms"),
    ],
)
async def test_a_client_plays_a_scene(client: str, scene: str, text: str, tmp_path: Path) -> None:
    finding = await SCENES[scene](Lab(BY_NAME[client], Path(sys.executable), tmp_path))
    assert re.fullmatch(text, finding.text)
    assert finding.figures


async def test_calls_are_held_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_scenes, "HOLD", 0.5)
    monkeypatch.setattr(load_scenes, "count_held", lambda *, full: 40 if full else 20)
    found = await load_scenes.held_calls(Lab(NBP, Path(sys.executable), tmp_path))
    assert found.figures["lost"] == 0
    assert float(found.figures["wall"] or 0) >= 0.5
    assert "CPU" in found.text


async def test_a_client_that_breaks_says_why(tmp_path: Path) -> None:
    lab = Lab(BY_NAME["aiometer"], Path(sys.executable), tmp_path)
    with pytest.raises(PeerFailedError, match="aiometer"):
        await lab.play(lab.task("http://127.0.0.1:1", "sk-bench", ["a cat"]))


async def test_what_cannot_be_installed_is_said_in_its_cells_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, packages: list[str], folder: Path) -> Path:
        raise NotInstalledError(f"no {name} in {folder.name}")

    monkeypatch.setattr("bench.beside.measured_rows.python_with", refuse)
    said: list[str] = []
    bench = Bench([BY_NAME["openai"], NBP], tmp_path / "e", tmp_path, full=False, say=said.append)
    bench.install()
    row = await bench.row("money")
    assert [cell.text for cell in row.cells] == ["not installed", "$0.40 of $0.40"]
    assert row.cells[0].figures == {"error": "no beside-openai in e"}
    assert list(bench.versions()) == ["openai", "nbp_async"]
    assert bench.versions()["openai"] == ""
    assert any("not installed" in line for line in said)


def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotInstalledError):
        python_with("made", [str(tmp_path / "none.whl")], tmp_path)


def test_every_column_is_pinned_and_every_cell_names_code_that_is_there() -> None:
    assert list(PINS) == [peer.name for peer in PEERS if peer is not NBP]
    assert all("==" in pin for pins in PINS.values() for pin in pins)
    for peer in PEERS:
        for name, scene in SCENES.items():
            assert title_of(name, (), full=True)
            for proof in proof_of(peer, scene):
                path, _, function = proof.partition(":")
                tree = ast.parse((ROOT / path).read_text())
                assert function in {getattr(node, "name", "") for node in tree.body}, proof


def test_a_table_is_rendered_saved_and_put_into_a_readme(tmp_path: Path) -> None:
    run = made_run(made_row("cut", "1 request", "–"))
    lines = table_of(run).splitlines()
    assert lines[:3] == ["| | a 1.0 | b |", "|---|---|---|", "| row cut | 1 request | – |"]
    assert "2026-11-29" in lines[-1]
    save_run(tmp_path / "new" / "run.json", run)
    assert load_run(tmp_path / "new" / "run.json") == run
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- python -m bench beside -->\nold\n<!-- end -->\nafter\n")
    write_readme(run, readme)
    assert readme.read_text().splitlines()[2] == "| | a 1.0 | b |"
    assert "old" not in readme.read_text()
    assert readme.read_text().endswith("<!-- end -->\nafter\n")
    with pytest.raises(ValueError, match="has no"):
        with_table("nothing", run)


def test_rows_that_are_not_measured_again_stay_with_the_same_clients() -> None:
    cut, money, again = (
        made_row("cut", "1", "2"),
        made_row("money", "3", "4"),
        made_row("cut", "5", "6"),
    )
    earlier = made_run(cut, money)
    assert with_earlier(made_run(again), earlier, list(SCENES)).rows == [again, money]
    newer = msgspec.structs.replace(made_run(again), versions={"a": "1.1", "b": ""})
    assert with_earlier(newer, earlier, list(SCENES)).rows == [again]


def test_the_readme_has_the_table_of_the_shipped_run() -> None:
    run = load_run(SHIPPED)
    assert with_table(README.read_text(), run) == README.read_text()
    assert list(run.versions) == [peer.name for peer in PEERS]
    assert [row.name for row in run.rows] == list(SCENES)


def test_names_are_checked_before_anything_is_installed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(["--only", "cut,none", "--environments", str(tmp_path / "e")])
    assert main(options) == 2
    assert "--only none: of lost, cut, " in capsys.readouterr().err
    assert not (tmp_path / "e").exists()


async def test_a_command_measures_what_it_is_asked_for_and_saves_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    out = tmp_path / "beside.json"
    words = ["--only", "cap", "--clients", "nbp_async", "--out", str(out)]
    options = parser.parse_args(words, argparse.Namespace(words=words))
    assert await asyncio.to_thread(main, options) == 0
    run = load_run(out)
    assert [cell.text for row in run.rows for cell in row.cells] == ["$0.27 spent"]
    assert run.command.startswith("python -m bench beside --only cap")
    assert run.versions["nbp_async"]
    assert "bench/beside/scenes.py:spending_cap" in capsys.readouterr().out
