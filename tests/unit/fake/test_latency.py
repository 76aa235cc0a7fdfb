"""Latency models, and the texts that they are read from."""

import math
import statistics

import pytest

from nbp_async.fake.latency import BySize, Fixed, Lognormal, Uniform, latency_of, parse_latency
from nbp_async.fake.seeded_random import seeded_uniform


@pytest.mark.parametrize(
    ("value", "model"),
    [
        (120, Fixed(120)),
        (0.5, Fixed(0.5)),
        ((30, 170), Uniform(30, 170)),
        ("120", Fixed(120)),
        ("30-170", Uniform(30, 170)),
        ("by-size", BySize()),
        ("lognormal:90:0.4", Lognormal(90, 0.4)),
        (BySize(), BySize()),
    ],
)
def test_a_latency_is_written_in_many_ways(value: object, model: object) -> None:
    assert latency_of(value) == model  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [Fixed(2.5), Uniform(1, 2), BySize(), Lognormal(90, 0.4)])
def test_the_text_of_a_latency_can_be_read_back(model: object) -> None:
    assert parse_latency(str(model)) == model


@pytest.mark.parametrize(
    "text", ["", "soon", "30-", "-5", "170-30", "lognormal:90", "lognormal:0:1", "nan", "inf"]
)
def test_an_invalid_latency_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"lognormal:90:0\.4"):
        parse_latency(text)


def test_uniform_fills_its_span() -> None:
    draws = [Uniform(30, 170).seconds(seeded_uniform("seed", n), "1K") for n in range(5000)]
    assert 30 <= min(draws) < 32
    assert 168 < max(draws) < 170
    assert statistics.mean(draws) == pytest.approx(100, abs=2)


def test_lognormal_has_its_median_and_an_end() -> None:
    model = Lognormal(90, 0.4)
    draws = [model.seconds(seeded_uniform("seed", n), "1K") for n in range(5000)]
    assert statistics.median(draws) == pytest.approx(90, rel=0.03)
    assert statistics.stdev(map(math.log, draws)) == pytest.approx(0.4, rel=0.05)
    assert 0 < model.seconds(0.0, "1K") < model.seconds(1 - 2**-53, "1K") < 3600


@pytest.mark.parametrize(
    ("size", "span"), [("1K", (30, 90)), ("2K", (50, 120)), ("4K", (100, 170))]
)
def test_by_size_has_the_measured_spans(size: str, span: tuple[float, float]) -> None:
    assert (BySize().seconds(0, size), BySize().seconds(1, size)) == span


def test_seeded_numbers_are_uniform_and_depend_on_every_part() -> None:
    draws = [seeded_uniform(7, "latency", n) for n in range(10_000)]
    tenths = [sum(n / 10 <= draw < (n + 1) / 10 for draw in draws) for n in range(10)]
    assert sum(tenths) == 10_000
    assert all(850 < count < 1150 for count in tenths)
    assert (
        len(
            {
                seeded_uniform(7, "a"),
                seeded_uniform(8, "a"),
                seeded_uniform(7, "b"),
                seeded_uniform("7a"),
            }
        )
        == 4
    )
    assert seeded_uniform(7, "a") == seeded_uniform("7", "a")
