"""`nbp help TOPIC`, and that what it shows is true: code runs, and commands are understood."""

import asyncio
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import nbp_async
from nbp_async import Profile
from nbp_async._vendors.catalog import find_model
from nbp_async.cli.app import app
from nbp_async.cli.help_command import topics

TOPICS = topics()
_OTHERS = ("jq", "sort", "uniq")
# Their code needs a store, or a database: tests/test_readme.py, tests/loopback/durable.
ELSEWHERE = ("stores", "many-machines")


def blocks(kind: str) -> list[tuple[str, str]]:
    return [
        (name, code)
        for name, text in TOPICS.items()
        for code in re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    ]


README = (Path(__file__).parent.parent.parent.parent / "README.md").read_text()
SHOWN = [code for _, code in blocks("console")]
SHOWN += re.findall(r"```console\n(.*?)```", README, re.DOTALL)
LINES = [
    line.removeprefix("$ ")
    for code in SHOWN
    for line in code.splitlines()
    if line.startswith("$ nbp ")
]


@pytest.mark.parametrize("name", TOPICS)
def test_every_topic_is_a_short_page_with_an_example(name: str) -> None:
    text = TOPICS[name]
    assert text.startswith(f"# {name}: ")
    assert len(text.splitlines()) <= 40
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "```" in text
    assert CliRunner().invoke(app, ["help", name]).stdout == text


@pytest.mark.parametrize("name", TOPICS)
def test_no_table_of_a_topic_is_wrapped_in_eighty_columns(name: str) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", TOPICS[name].replace("`", ""), re.MULTILINE)
    for table in tables:
        rows = [line.strip("|\n").split("|") for line in table.splitlines()]
        widths = [max(len(cell.strip()) for cell in column) for column in zip(*rows, strict=True)]
        assert sum(widths) + 2 * len(widths) <= 80


def test_without_a_topic_all_are_listed_in_eighty_columns() -> None:
    done = CliRunner().invoke(app, ["help"])
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed == sorted(TOPICS)
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_an_unknown_topic_is_misuse_and_names_those_there_are() -> None:
    done = CliRunner().invoke(app, ["help", "mony"])
    assert done.exit_code == 2
    assert "money" in done.stderr


@pytest.mark.parametrize(
    ("name", "code"),
    [(name, code) for name, code in blocks("python") if name not in ELSEWHERE],
    ids=lambda word: word[:20],
)
async def test_its_code_runs(
    name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    if not re.search(r"\b(?:await|async) ", code):  # for plain threads: no loop runs there
        await asyncio.to_thread(exec, code, names)
        return
    exec("async def main():\n" + textwrap.indent(code, "    "), names)
    await names["main"]()


@pytest.mark.parametrize("line", LINES)
def test_its_commands_are_understood(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("prompts.txt", "products.csv", "prompts.jsonl", "run.sqlite3"):
        Path(file).touch()
    for folder in ("catalogue", "shop"):
        Path(folder).mkdir()
    first = re.split(r"\s[|>]\s", line)[0]
    nbp, name, *words = shlex.split(first, comments=True)
    assert nbp == "nbp"
    command = app.get_command(click.Context(app), name)
    assert command is not None
    context = command.make_context(name, words)
    if isinstance(command, click.Group):
        chosen, sub, left = command.resolve_command(context, words)
        assert chosen is not None
        assert sub is not None
        sub.make_context(chosen, left)


def test_every_variable_that_is_read_is_named() -> None:
    package = Path(nbp_async.__file__).parent
    text = "".join(file.read_text() for file in package.rglob("*.py"))
    assert set(re.findall(r"\bNBP_[A-Z_]+\b", text)) <= set(
        re.findall(r"\bNBP_[A-Z_]+\b", TOPICS["environment"])
    )


def test_every_failure_is_explained() -> None:
    kinds = {name for name in nbp_async.__all__ if name.endswith(("Error", "Timeout"))}
    above = {"NbpError", "NotSentError", "NoReplyError", "RefusedError", "TaskError"}
    raised_at_once = {"ClosedError", "ConfigError"}
    explained = set(re.findall(r"\w+(?:Error|Timeout)\b", TOPICS["errors"]))
    assert explained == kinds - above - raised_at_once


@pytest.mark.parametrize("model", ["gemini-3-pro-image", "gemini-2.5-flash-image"])
def test_the_pixels_that_are_told_are_those_that_are_drawn(model: str) -> None:
    heading, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TOPICS["sizes"].splitlines()
        if line.startswith("|")
    ]
    listed = {row[0]: row[heading.index(model)] for row in rows}
    sizes = find_model(model)
    assert sizes is not None
    assert listed == {ratio: f"{w}x{h}" for ratio, (w, h) in sizes.pixels["1K"].items()}


def test_its_service_file_is_one(tmp_path: Path) -> None:
    ((_, code),) = blocks("toml")
    (tmp_path / "acme.toml").write_text(code)
    assert Profile.from_toml(tmp_path / "acme.toml").key_names == ("ACME_API_KEY",)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_the_shell_reads(shell: str) -> None:
    done = CliRunner().invoke(app, ["completion", shell])
    assert done.exit_code == 0
    assert f"_NBP_COMPLETE={shell}_complete" in done.stdout


def test_commands_and_options_are_completed() -> None:
    env = {"_NBP_COMPLETE": "bash_complete", "COMP_WORDS": "nbp many --max-", "COMP_CWORD": "2"}
    done = CliRunner().invoke(app, [], env=env, prog_name="nbp")
    assert {"plain,--max-cost", "plain,--max-in-flight"} == set(done.stdout.split())


def test_the_benchmark_gets_its_own_arguments() -> None:
    command = app.get_command(click.Context(app), "bench")
    assert command is not None
    context = command.make_context("bench", ["compare", "--quick", "--help"])
    assert context.params["words"] == ("compare", "--quick", "--help")


FILES = {
    "prompts.txt": "a red bicycle\na lamp\n",
    "products.csv": "sku;prompt;size\n17;a red bicycle;1K\n18;;\n19;a lamp;1K\n",
    "prompts.jsonl": '"a red bicycle"\n{"text": "a lamp"}\n',
    "-": '{"text": "a red bicycle"}\n"a lamp"\n',
}
READING = [
    (line, words)
    for code in SHOWN
    for line in re.findall(r"^\$ (.*)$", code, re.MULTILINE)
    for part in re.findall(r"nbp (?:many|batch submit) [^|>]*", line)
    for words in [shlex.split(part)]
]


@pytest.mark.parametrize(("line", "words"), READING, ids=[line for line, _ in READING])
def test_its_commands_read_real_files(
    line: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a dry run, which sends nothing."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    Path("acme.toml").write_text(dict(blocks("toml"))["service-files"])
    env = {"NBP_API_KEY": "k" * 20, "NBP_WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 4}
    dry = [*words[1:], *([] if "--dry-run" in words else ["--dry-run"])]
    with_endpoint = [] if "--endpoint" in words else ["--endpoint", "google"]
    if "--public-url" in words:
        with_endpoint = ["--endpoint", "evolink"]
    done = CliRunner().invoke(app, [*dry, *with_endpoint], env=env, input=FILES["-"])
    assert done.exit_code == 0, done.output
    images = "1 image:" if "--shard" in words else "2 images"
    assert images in done.stdout or '"images": 2' in done.stdout
