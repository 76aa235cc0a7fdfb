"""A comparison in a terminal: it fits, says nothing that a newcomer takes for broken, and why."""

import pytest
from msgspec.structs import replace

from bench.records import Run
from bench.table import table_lines
from bench.terminal_report import report_lines, sentences_of
from tests.bench.made_run import made


@pytest.fixture
def run() -> Run:
    return made()[0]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_tables_fit_the_terminal_and_words_are_wrapped_whole(run: Run, width: int) -> None:
    long = [
        replace(row, reason="two waves and more words than a line has " * 3) for row in run.article
    ]
    lines = list(report_lines(replace(run, article=long), width))
    assert max(map(len, lines)) <= width
    whole = " ".join(" ".join(lines).split())
    assert "the start of programs and first connections" in whole
    assert "KiB/call" in whole
    assert not [line for line in lines if line.lstrip().startswith("NO")]


def test_a_file_has_all_columns(run: Run) -> None:
    lines = list(report_lines(run))
    for column in ("jobs", "p99 s", "of bound", "billed $", "KiB/call"):
        assert any(column in line for line in lines)


def test_a_figure_of_few_calls_says_why_it_is_so(run: Run) -> None:
    article, latency = run.scenarios
    few = [row for row in run.rows if row.scenario == "article"]
    words = " ".join(sentences_of(article, few))
    assert "Here 50 s pass in one." in words
    assert "was at most 0.3 s on this machine" in words  # 13 s longer, 50 times faster
    assert "With 10 in flight that is mostly what it needs to begin" in words
    assert "--at-once 1000" in words
    many = [row for row in run.rows if row.scenario == "latency"]
    words = " ".join(sentences_of(latency, many))
    assert "mostly what it needs to begin" not in words
    assert "start of programs" not in words
    assert "virtual: only waiting takes time." in words


def test_faults_take_time_as_well(run: Run) -> None:
    article = replace(run.scenarios[0], faults="503=0.1")
    few = [row for row in run.rows if row.scenario == "article"]
    assert "start of programs" not in " ".join(sentences_of(article, few))


def test_a_narrow_table_does_without_the_least_important_columns() -> None:
    rows = [("a", "1", "22", "words that go on and on for more than one line")]
    columns = ("name", "x", "y", "why")
    lines = list(table_lines(columns, rows, text=("why",), width=38, less=("x",)))
    assert lines == [
        "  name   y  why",
        "  a     22  words that go on and on",
        "            for more than one line",
    ]
