"""The README is short and true; so are the pages of the guide that need more than a fake client.

All other code of the guide is run by `tests/unit/cli/test_help.py`.
"""

import asyncio
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nbp_async import Client
from nbp_async.cli.app import app
from nbp_async.cli.help_command import topics
from nbp_async.fake import FakeServer
from tests.object_server import CREDENTIALS, object_server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TOPICS = topics()


def code_of(text: str, with_words: str = "") -> str:
    """The one block of Python in a text that has these words."""
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (found,) = [code for code in blocks if with_words in code]
    assert isinstance(found, str)
    return found


async def run(code: str, *results: str, **names: Any) -> list[Any]:
    """Run a block as the body of a function, and return what it left in these names."""
    body = f"{code}\nreturn [{', '.join(results)}]"
    made: dict[str, Any] = {}
    exec(f"async def main({', '.join(names)}):\n{textwrap.indent(body, '    ')}", made)
    left = await made["main"](**names)
    assert isinstance(left, list)
    return left


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.splitlines()) <= 180


def test_what_the_readme_refers_to_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)|src=\"([^\"]+)\"", README)
    tests = re.findall(r"`(tests/[\w/.]+)`", README)
    assert tests
    for path in [*tests, *("".join(link) for link in links)]:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("text", [README, *TOPICS.values()], ids=["README", *TOPICS])
def test_each_topic_that_is_named_exists(text: str) -> None:
    named = re.findall(r"`nbp\s+help ([\w-]+)`", text)
    assert set(named) <= TOPICS.keys() | {"TOPIC"}


async def test_the_first_lines_make_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.txt").write_text("a red bicycle\na green one\n")
    monkeypatch.chdir(tmp_path)
    async with FakeServer(latency=0.0) as server:
        monkeypatch.setenv("NBP_BASE_URL", server.gemini_url)
        monkeypatch.setenv("NBP_API_KEY", server.key)
        names: dict[str, Any] = {}
        exec(code_of(README).replace("asyncio.run(main())", ""), names)
        await names["main"]()
    assert "2 ok" in capsys.readouterr().out
    assert len(list((tmp_path / "catalogue").glob("0*"))) == 2


def test_the_commands_of_the_readme_make_images(
    nbp_server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those that make images; `nbp demo` has a test of its own, others need a terminal."""
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a red bicycle\na green one\n")
    env = {"NBP_BASE_URL": nbp_server.gemini_url, "NBP_API_KEY": nbp_server.key}
    lines = re.findall(r"^\$ (nbp (?:gen|many|show) .*?)(?:  #.*)?$", README, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line)[1:], env=env)
        assert done.exit_code == 0, f"{line}\n{done.output}"
    assert Path("bike.png").is_file()
    assert len(list(Path("catalogue").glob("0*"))) == 2
    assert Path("catalogue/index.html").is_file()
    assert nbp_server.bank.images == 3


async def test_outcomes_are_read_as_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    await run(code_of(TOPICS["outcomes"]))
    assert "(1024, 1024) png" in capsys.readouterr().out


async def test_listeners_hear_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    await run(code_of(TOPICS["telemetry"], "class Bills(Listener)"))
    heard = capsys.readouterr().out
    assert heard.startswith("yes 0.134")
    assert "Image(index=0, " in heard


async def test_a_notebook_goes_on_beside_a_call_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (running,) = await run(code_of(TOPICS["notebooks"]), "running")
    assert running.progress.resumed == 2
    assert (tmp_path / "timeline.svg").is_file()


async def test_images_go_to_a_store_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with object_server(tmp_path) as store:
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": store.url}).items():
            monkeypatch.setenv(name, value)
        (store.root / "shop-images").mkdir()
        async with Client.fake(server={"latency": 0.0}) as gen:
            batch, png = await run(
                code_of(TOPICS["stores"]), "batch", "png", gen=gen, prompts=["a", "b"]
            )
        assert len(list((store.root / "shop-images" / "spring").iterdir())) == 2
    assert [image.location[:26] for image in batch.images] == ["s3://shop-images/spring/00"] * 2
    assert png.startswith(b"\x89PNG")


async def test_the_fixture_is_used_as_shown(nbp_server: FakeServer) -> None:
    (test,) = await run(
        code_of(TOPICS["testing"], "nbp_server"), "test_a_cut_connection_is_not_paid_twice"
    )
    await asyncio.wait_for(test(nbp_server), 30)
