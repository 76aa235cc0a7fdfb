"""What users see when something is wrong, word for word, in `messages.txt`.

`NBP_WRITE_MESSAGES=1 pytest tests/unit/cli/test_messages.py` rewrites it: read the change.
"""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbp_async._vendors.profiles import PROFILES
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
    "a part that is none": f"{MANY} --shard 4/3",
    "a part of what machines share": f"{MANY} --shard 1/3 --journal postgresql://db/shop?run=a",
    "nothing to merge": "merge shop",
    "a run to merge that is not there": "merge shop nowhere",
    "a run in a database to merge": "merge shop postgresql://me:secret@db/shop?run=a",
    "a queue without a run": "submit prompts.txt",
    "a time that is none": "submit prompts.txt --journal shop --not-before tomorrow",
    "a priority that is none": "submit prompts.txt --journal shop --priority 2000",
    "a key of a submission that is empty": "submit prompts.txt --journal shop --key=",
    "work on a run that is not there": "work --journal nowhere",
    "work on a file without a folder": "work --journal run.sqlite3",
    "work without end on a folder": "work --journal shop --forever",
    "work without a place for images": "work --journal postgresql://me:secret@db/shop?run=a",
    "a tier that is a way of delivery": f"{MANY} --tier batch",
    "paying twice without a cap": f"{MANY} --resend-ambiguous",
    "a column that is not there": "many products.csv --out shop",
    "a column of a text": f"{MANY} --prompt-column text",
    "a broken line": "many broken.jsonl --out shop",
    "no prompt": "many empty.txt --out shop",
    "not UTF-8": "many latin.txt --out shop",
    "an ending that is not known": "many prompts.yaml --out shop",
    "a format that is none": f"{MANY} --format cvs",
    "a table that is called a text": "many table.txt --out shop",
    "two delimiters": "many european.csv --out shop",
    "an option that is misspelt in a table": "many misspelt.csv --out shop",
    "a quote that is not closed": "many quote.csv --out shop",
    "a cell that is no number": "many seeds.csv --out shop",
    "nothing in it": "many nothing.csv --out shop",
    "a picture": "many picture.csv --out shop",
    "a file in the prompt's place": "gen prompts.txt",
    "a folder that is a file": "many prompts.txt --out prompts.txt",
    "a store without a journal": "many prompts.txt --out s3://shop/catalogue",
    "a store's key in its address": "many prompts.txt --out s3://me:secret@shop/catalogue",
    "a reference that is not there": "gen bike --ref cat.png",
    "a service file that is not there": f"{MANY} --endpoint acme.toml",
    "a run that is not there": "show nowhere",
    "a folder without a run": "show .",
    "a topic that is none": "help mony",
    "a command that is none": "maney prompts.txt",
    "an option that is none": f"{MANY} --max-csot 45",
    "a file that is not there": "many missing.txt --out shop",
    "no folder": "many prompts.txt",
    "an object without a text": "many wrong.jsonl --out shop",
    "a size in the list that is none": "many sizes.jsonl --out shop",
    "a ratio that is none": "gen bike --aspect-ratio 16:10",
    "a key in the endpoint's place": f"{MANY} --endpoint AIzaSyA-0123456789abcdef",
    "a batch where there is none": f"{MANY} --endpoint apiyi --via batch",
    "no waiting for what is no batch": f"{MANY} --no-wait",
    "a size of one prompt that is none, in a dry run": "many sizes.jsonl --out shop --dry-run",
    "two forms at once": "show . --table --json",
    "links of a run that is not there": "fetch nowhere",
    "batch jobs of a run that is not there": "batch fetch nowhere",
    "batch jobs of a folder without a run": "batch status .",
    "a batch submitted where there is none": "batch submit prompts.txt --out shop --endpoint apiyi",
    "calling back to nowhere": f"{MANY} --endpoint apiyi --via webhook",
    "calling back without a secret": f"{MANY} --endpoint apiyi --via webhook "
    "--public-url https://hooks.shop.example",
    "calling back over plain http": f"{MANY} --endpoint evolink --via webhook "
    "--webhook-scheme none --public-url http://hooks.shop.example",
    "calling back where there is none": f"{MANY} --endpoint google --via webhook "
    "--webhook-scheme none --public-url https://hooks.shop.example",
    "an address for what does not call back": f"{MANY} --public-url https://hooks.shop.example",
    "rows of a run that is not there": "export nowhere --to csv",
    "a key that is empty": "auth set",
    "a key that is not kept": "auth remove",
    "webhooks without an address": "listen",
    "a fault that is none": "fake --fault 5003=0.1",
    "a fault of more than all": "fake --fault 503=2",
}


def said(words: str, *, key: str) -> str:
    vendors = {name: None for profile in PROFILES.values() for name in profile.key_names}
    known = {"NBP_BASE_URL": None, "NBP_ENDPOINT": None, "NBP_API_KEY": key or None}
    known["NBP_WEBHOOK_SECRET"] = None
    env: dict[str, str | None] = {**vendors, **known, "NBP_KEY_FILE": "keys.toml"}
    done = CliRunner().invoke(app, words.split(), env=env, prog_name="nbp")
    assert done.exception is None or isinstance(done.exception, SystemExit), words
    assert "Traceback" not in done.output
    assert KEY not in done.output
    assert "AIzaSyA" not in done.output
    assert done.stdout == ""
    return f"$ nbp {words}\n{done.stderr.rstrip()}\n[{done.exit_code}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a cat\n")
    Path("products.csv").write_text("sku,title\n1,a cat\n")
    Path("broken.jsonl").write_text('"a cat"\n{"text": \n')
    Path("wrong.jsonl").write_text('"a cat"\n{"txt": "a dog"}\n')
    Path("sizes.jsonl").write_text('{"text": "a cat", "size": "5K"}\n')
    Path("empty.txt").write_text("# nothing\n")
    Path("latin.txt").write_bytes("Zürich\n".encode() + "Zürich\n".encode("latin-1"))
    Path("prompts.yaml").write_text("- a cat\n")
    Path("table.txt").write_text("prompt,size\na cat,4K\n")
    Path("european.csv").write_text("prompt;size, in pixels\na cat;4K\n")
    Path("misspelt.csv").write_text("prompt,sise\na cat,4K\n")
    Path("quote.csv").write_text('prompt\na cat\n"24 inch wheel\na dog\n')
    Path("seeds.csv").write_text("prompt,Seed\na cat,7\na dog,x\n")
    Path("nothing.csv").touch()
    Path("picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
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
