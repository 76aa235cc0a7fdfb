"""What the library says to who calls it in a way that cannot work, word for word, in `library.txt`.

Each mistake is written as people write it. `NBP_WRITE_MESSAGES=1 pytest tests/unit/messages` writes
the file anew: read the change.
"""

import asyncio
import gc
import os
import textwrap
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Thread
from typing import Any

import polars
import pytest

import nbp_async
from nbp_async import Client, ClosedError, ConfigError
from nbp_async.testing.transport import FakeTransport
from tests.unit.flow.helpers import good
from tests.unit.messages.mistakes import MISTAKES

KEY = "sk-test-0123456789abcdef"
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
SNAPSHOT = Path(__file__).with_name("library.txt")


async def in_another_loop() -> Client:
    """A client that was used in a loop of another thread."""
    made: list[Client] = []

    async def use() -> None:
        made.append(Client("google", KEY, transport=FakeTransport(default=good())))
        made[0]._open()

    thread = Thread(target=lambda: asyncio.run(use()))
    thread.start()
    await asyncio.to_thread(thread.join)
    return made[0]


@pytest.fixture
async def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Any]]:
    """What the mistakes talk of."""
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a cat\n")
    spent = (prompt for prompt in ["a cat"])
    list(spent)
    transport = FakeTransport(default=good())
    closed = Client("google", KEY, transport=transport)
    await closed.aclose()
    other = await in_another_loop()
    async with Client("google", KEY, transport=transport) as gen:
        yield {
            **{name: getattr(nbp_async, name) for name in nbp_async.__all__},
            "Path": Path,
            "KEY": KEY,
            "SECRET": SECRET,
            "gen": gen,
            "spent": spent,
            "closed": closed,
            "DataFrame": polars.DataFrame,
            "other": other,
            "unopened": Client.fake(),
        }
    assert transport.requests == []
    other._parts = None  # its loop is gone, and nothing is open


async def told(code: str, names: dict[str, Any]) -> str:
    """What is raised, or warned of, by a line of somebody's."""
    known = dict(names)
    exec("async def mistake():\n" + textwrap.indent(code, "    "), known)
    problem = ""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            await known["mistake"]()
        except Exception as exc:  # noqa: BLE001  whatever it is, it is shown
            problem = check(exc)
        if problem:
            return problem
        gc.collect()  # a plan that is dropped says so here
    (warning,) = warned
    assert warning.filename == "<string>"
    return f"{warning.category.__name__}: {warning.message}"


def check(problem: Exception) -> str:
    text = str(problem)
    assert KEY not in text
    kind = type(problem)
    if isinstance(problem, ConfigError | ClosedError):
        assert text.count("Nothing was sent.") == 1
    if kind is TypeError:
        assert text.endswith("Nothing was sent.")
    return f"{kind.__name__}: {text}"


@pytest.mark.parametrize("part", MISTAKES)
async def test_every_mistake_is_told_as_it_was_written_down(
    part: str, names: dict[str, Any], tmp_path: Path
) -> None:
    lines = []
    for code in MISTAKES[part]:
        words = (await told(code, names)).replace(f"{tmp_path}/", "")
        lines.append(textwrap.indent(code, ">>> ") + f"\n{words}\n")
    found = "\n".join(lines)
    assert str(tmp_path) not in found
    whole = SNAPSHOT.read_text() if SNAPSHOT.exists() else ""
    known = dict(piece.split("\n\n", 1) for piece in whole.split("\n## ")[1:])
    if os.environ.get("NBP_WRITE_MESSAGES"):
        known[part] = found
        pieces = [f"\n## {name}\n\n{known[name].strip()}\n" for name in MISTAKES if name in known]
        SNAPSHOT.write_text("".join(pieces))
    else:
        assert found.strip() == known[part].strip()
