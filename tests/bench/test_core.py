"""The bench measures what it says: every client is answered, every figure has its bound."""

import argparse
import json
from pathlib import Path

import pytest

from bench.bodies import answer_with, png
from bench.clients import Calls, measure_calls
from bench.core import CORE, paired, shapes_of
from bench.fresh_process import call_fresh
from bench.light_server import light_server, self_signed
from bench.lists import measure_lists
from bench.suite import Measurement, Session, Suite
from bench.transports import Kind, compared, kinds, show
from nbp_async._images.sniff import ImageSniffer


def test_a_picture_has_the_weight_that_was_asked() -> None:
    for weight in (200, 6_000_000):
        content = png(weight)
        assert len(content) == weight
        sniffer = ImageSniffer()
        sniffer.feed(content)
        assert sniffer.close().format == "png"


async def test_both_clients_do_the_same_work_to_its_end(tmp_path: Path) -> None:
    ca, certificate = self_signed(tmp_path)
    for loop, tls in (("asyncio", False), ("uvloop", True)):
        server = light_server(answer_with(png(5000)), certificate=certificate if tls else "")
        async with server as url:
            task = Calls("", url, 30, 10, disk=True, ca=ca if tls else "", loop=loop)
            pair = await paired(Session(quick=True), "made", task, reps=1, limit=60)
        assert {name: reading.answered for name, reading in pair.items()} == {"bare": 30, "nbp": 30}
        assert all(reading.cpu > 0 and reading.wall > 0 for reading in pair.values())


async def test_each_transport_is_measured_and_held_to_its_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("httptools")
    ca, certificate = self_signed(tmp_path)
    kind = Kind("made", Calls("", "", 20, 10), cpu=0.0, memory=2**40)
    found = await compared(kind, (ca, certificate), 1)
    assert {name: one.answered for name, one in found.items()} == {
        "bare": 20,
        "aiohttp": 20,
        "direct": 20,
    }
    session = Session(quick=True)
    show(session, kind, "TLS", found)
    assert [target.ok for target in session.targets] == [False, True]
    said = capsys.readouterr().out
    assert "NOT met CPU to bare, direct, TLS, made" in said
    assert "  met     memory a call, direct" in said
    names = [kind.name for tls in (False, True) for kind in kinds(quick=True, tls=tls)]
    assert len(names) == 7


async def test_held_calls_are_held_at_once() -> None:
    async with light_server(answer_with(png(200)), hold=0.5) as url:
        reading = await call_fresh(measure_calls, Calls("nbp", url, 200, 200), limit=60)
    assert reading.answered == 200
    assert reading.wall >= 0.5


async def test_a_client_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="KeyError"):
        await call_fresh(measure_calls, Calls("nobody", "http://127.0.0.1:1/v1", 1, 1), limit=60)


async def test_long_lists_are_measured_in_a_process_of_their_own() -> None:
    found = await call_fresh(measure_lists, 10_000)
    assert found.many_count == 10_000
    assert found.many_bytes < 4096


def test_a_bound_that_is_passed_is_said_and_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(quick=True)
    session.check("memory", 61.0, 60, "MiB")
    assert capsys.readouterr().out == "  OVER memory: 61 MiB (at most 60)\n"
    session.check("ratio", 1.0, 1.25)
    session.save(tmp_path / "core.json")
    saved = json.loads((tmp_path / "core.json").read_text())
    assert [check["ok"] for check in saved["checks"]] == [False, True]


def test_a_usual_run_leaves_out_what_takes_long_and_a_full_one_has_it() -> None:
    usual, full = shapes_of(Session(quick=False)), shapes_of(Session(quick=False, full=True))
    seconds = [sum(2 * each.reps * each.hold for each in shapes) for shapes in (usual, full)]
    assert seconds[0] < 150 < 500 < seconds[1]
    assert {(each.tls, each.loop) for each in usual} >= {(False, "uvloop"), (True, "asyncio")}
    assert {each.hold for each in full} == {10.0, 60.0}
    calls = [
        sum(kind.calls.calls for tls in (False, True) for kind in kinds(tls=tls, **sizes))
        for sizes in ({"quick": True}, {"quick": False}, {"quick": False, "full": True})
    ]
    assert calls == sorted(calls)


def test_sizes_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    CORE.add_arguments(parser)
    assert parser.parse_args(["--full"]).full
    with pytest.raises(SystemExit):
        parser.parse_args(["--full", "--quick"])
    assert "not allowed with" in capsys.readouterr().err


async def test_a_suite_says_what_is_still_to_come(capsys: pytest.CaptureFixture[str]) -> None:
    async def one(session: Session) -> None:
        """a figure"""
        session.note("is on no terminal")
        session.check("figure", 1.0, 2)

    await Suite("made", "", "", dict.fromkeys(("a", "b", "c"), one)).run(Session(quick=True))
    said = capsys.readouterr().out
    titles = [line for line in said.splitlines() if "a figure" in line]
    assert titles == ["a: a figure (then b, c)", "b: a figure (then c)", "c: a figure"]
    assert "terminal" not in said
    assert said.index("(then c)") > said.index("ok   figure")


async def test_a_suite_measures_what_it_is_asked_for() -> None:
    measured: list[str] = []

    def measurement(name: str) -> Measurement:
        async def measure(_: Session) -> None:
            measured.append(name)

        return measure

    names = {name: measurement(name) for name in ("first", "long", "last")}
    suite = Suite("made", "", "", names, left_out_when_quick=("long",))
    await suite.run(Session(quick=False))
    assert measured == ["first", "long", "last"]
    measured.clear()
    await suite.run(Session(quick=True))
    assert measured == ["first", "last"]
    measured.clear()
    await suite.run(Session(quick=True), ["long"])
    assert measured == ["long"]
