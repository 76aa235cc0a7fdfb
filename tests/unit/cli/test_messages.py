"""What people are told when something is wrong, word for word, in `messages.txt`.

`NBP_WRITE_MESSAGES=1 pytest tests/unit/cli/test_messages.py` writes it anew: read the change.
"""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbp_async._profiles import PROFILES
from nbp_async.cli.app import app

KEY = "sk-test-0123456789abcdef"
SNAPSHOT = Path(__file__).with_name("messages.txt")
MANY = "many prompts.txt --out shop"
MISTAKES = {
    "no key": MANY,
    "a size that is none": f"{MANY} --size 4k2",
    "an endpoint that is none": f"{MANY} --endpoint gogle",
    "a way that the endpoint does not have": f"{MANY} --endpoint google --via poll",
    "a rate that is none": f"{MANY} --rate 60",
    "a spend limit that is none": f"{MANY} --spend 50",
    "a cap that is none": f"{MANY} --max-cost much",
    "paying twice without a cap": f"{MANY} --resend-ambiguous",
    "a column that is not there": "many products.csv --out shop",
    "a column of a text": f"{MANY} --prompt-column text",
    "a broken line": "many broken.jsonl --out shop",
    "no prompt": "many empty.txt --out shop",
    "not UTF-8": "many latin.txt --out shop",
    "a folder that is a file": "many prompts.txt --out prompts.txt",
    "a store without a journal": "many prompts.txt --out s3://shop/catalogue",
    "a store's key in its address": "many prompts.txt --out s3://me:secret@shop/catalogue",
    "a reference that is not there": "gen bike --ref cat.png",
    "a service file that is not there": f"{MANY} --endpoint acme.toml",
    "a run that is not there": "show nowhere",
    "a folder without a run": "show .",
    "a topic that is none": "help mony",
}


def said(words: str, *, key: str) -> str:
    vendors = {name: None for profile in PROFILES.values() for name in profile.key_names}
    known = {"NBP_BASE_URL": None, "NBP_ENDPOINT": None, "NBP_API_KEY": key or None}
    env: dict[str, str | None] = {**vendors, **known, "NBP_KEY_FILE": "keys.toml"}
    done = CliRunner().invoke(app, words.split(), env=env, prog_name="nbp")
    assert done.exception is None or isinstance(done.exception, SystemExit), words
    assert "Traceback" not in done.output
    assert KEY not in done.output
    assert done.stdout == ""
    return f"$ nbp {words}\n{done.stderr.rstrip()}\n[{done.exit_code}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a cat\n")
    Path("products.csv").write_text("sku,title\n1,a cat\n")
    Path("broken.jsonl").write_text('"a cat"\n{"text": \n')
    Path("empty.txt").write_text("# nothing\n")
    Path("latin.txt").write_bytes("Zürich".encode("latin-1"))
    return tmp_path


def test_every_mistake_is_told_as_it_was_written_down(folder: Path) -> None:
    found = "\n".join(
        f"# {mistake}\n{said(words, key='' if mistake == 'no key' else KEY)}"
        for mistake, words in MISTAKES.items()
    )
    assert str(folder) not in found
    if os.environ.get("NBP_WRITE_MESSAGES"):
        SNAPSHOT.write_text(found)
    assert found == SNAPSHOT.read_text()
