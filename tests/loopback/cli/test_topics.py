"""The commands of the help topics do what they show, as far as a fake vendor can follow them."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbp_async.cli.app import app
from nbp_async.fake import FakeServer
from tests.unit.cli.test_help import LINES

# They never end, or go to somebody else: that they are understood is tested in `test_help.py`.
NOT_HERE = ("nbp demo", "nbp fake", "nbp listen", "nbp serve", "nbp bench", "nbp batch")
ELSEWHERE = ("--endpoint", "://", "--via", "catalogue", "$RUN")


def done_here(line: str) -> str:
    """The command without what other programs do with it; "" if it is not for here."""
    command = line.split(" | ")[0].split(" > ")[0].split("  #")[0].strip()
    apart = command.startswith(NOT_HERE) or any(word in command for word in ELSEWHERE)
    return "" if apart else command


def test_they_run_one_after_the_other(
    nbp_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a red bicycle\n")
    Path("products.csv").write_text("sku,prompt\n1,a green bicycle\n")
    Path("prompts.jsonl").write_text('{"text": "a blue bicycle"}\n')
    env = {
        "NBP_BASE_URL": nbp_server.openai_url,
        "NBP_API_KEY": nbp_server.key,
        "NBP_KEY_FILE": "keys.toml",
    }
    before = [
        "nbp many prompts.txt --out shop",
        "nbp many prompts.txt --out kept --journal run.sqlite3",
    ]
    lines = [command for line in LINES if (command := done_here(line))]
    assert len(lines) > 15
    for line in dict.fromkeys(before + lines):
        words = shlex.split(line)[1:]
        done = CliRunner().invoke(app, words, input=f"{nbp_server.key}\n", env=env)
        assert done.exit_code == 0, f"{line}\n{done.output}"
