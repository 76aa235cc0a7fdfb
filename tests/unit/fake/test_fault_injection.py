"""Faults as values, by probability and by script."""

from typing import Any

import pytest

from nbp_async.fake import faults as f
from nbp_async.fake.fault_injection import (
    FaultRates,
    FaultScript,
    fault_named,
    fault_rates_of,
    parse_fault_rates,
)


def test_faults_are_values() -> None:
    assert f.rate_limited(2) == f.status(429, 2)
    assert len({f.reset(), f.reset(), f.reset(before=True), f.ok()}) == 3


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("503", f.overloaded()),
        ("503:5", f.overloaded(5.0)),
        ("429", f.rate_limited(1.0)),
        ("429:0.5", f.rate_limited(0.5)),
        ("500", f.status(500)),
        ("reset", f.reset()),
        ("slow:1000", f.slow_body(1000)),
        ("cut", f.cut_body()),
        ("cut:0.3", f.cut_body(0.3)),
        ("truncated", f.bad_json()),
        ("blocked", f.blocked()),
        ("extra:2", f.extra_images(2)),
        ("foreign", f.foreign()),
        ("gzip", f.gzipped()),
    ],
)
def test_faults_have_names(name: str, fault: f.Fault) -> None:
    assert fault_named(name) == fault


@pytest.mark.parametrize("text", ["everything=1", "503", "503=x", "reset:5=0.1", "50=0.1", "=1"])
def test_an_unknown_fault_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ValueError, match=r"429:5=0\.1"):
        parse_fault_rates(text)


@pytest.mark.parametrize("rates", [{f.reset(): 1.1}, {f.reset(): -0.1}])
def test_rates_are_from_0_to_1(rates: dict[f.Fault, float]) -> None:
    with pytest.raises(ValueError, match="at most 1"):
        FaultRates(rates)


def test_rates_are_together_at_most_1() -> None:
    with pytest.raises(ValueError, match="at most 1"):
        FaultRates({f.reset(): 0.6, f.hang(): 0.6})


@pytest.mark.parametrize("fault", [f.cut_download(), f.status(429, early=True)])
def test_a_fault_without_a_job_cannot_be_random(fault: f.Fault) -> None:
    with pytest.raises(ValueError, match="script"):
        FaultRates({fault: 0.1})


def test_each_fault_has_its_rate() -> None:
    faults = parse_fault_rates("503=0.02, reset=0.01")
    drawn = [faults.draw(n / 1000) for n in range(1000)]
    assert drawn.count(f.overloaded()) == 20
    assert drawn.count(f.reset()) == 10
    assert drawn.count(None) == 970


@pytest.mark.parametrize("value", [None, {}, ""])
def test_no_rates_are_no_faults(value: Any) -> None:
    assert not fault_rates_of(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: f.status(429, billed=True, early=True),
        lambda: f.download(f.html_page()),
        lambda: f.slow_body(0),
        lambda: f.cut_body(1.5),
    ],
)
def test_invalid_faults_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


def test_scripted_faults_come_in_order() -> None:
    script = FaultScript()
    script.add((f.reset(), f.cut_download(), f.ok()), None)
    assert len(script) == 3
    assert [script.take("a cat") for _ in range(3)] == [f.reset(), f.ok(), None]
    assert script.take_download() == f.cut_download()
    assert script.take_download() is None


def test_a_fault_with_a_match_goes_first_and_waits_for_its_prompt() -> None:
    script = FaultScript()
    script.add((f.reset(),), None)
    script.add((f.hang(), f.ok()), "dog")
    assert script.take("a dog") == f.hang()
    assert script.take("a cat") == f.reset()
    assert len(script) == 1
    with pytest.raises(ValueError, match="has no prompt: leave match out"):
        script.add((f.cut_download(),), "dog")


def test_only_an_early_fault_is_taken_early() -> None:
    script = FaultScript()
    script.add((f.status(429, early=True), f.reset(), f.hang(unread=True)), None)
    assert script.take_early() == f.status(429, early=True)
    assert script.take_early() is None
    assert script.take("a cat") == f.reset()
    assert script.take_early() == f.hang(unread=True)
