"""Every example in a docstring runs as it stands, against the fake server."""

import ast
import asyncio
import os
import re
import textwrap
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import nbp_async
import nbp_async.webhooks
from nbp_async import Client
from nbp_async._client.keyword_options import takes
from nbp_async.fake import FakeServer, spawn
from nbp_async.testing.virtual_time import run_virtual

PACKAGE = Path(nbp_async.__file__).parent
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
_NODES = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def examples() -> Iterator[tuple[str, str]]:
    """Each block of code in a docstring of the package, with the name of what it explains."""
    for file in sorted(PACKAGE.rglob("*.py")):
        source = file.read_text()
        if "```python" not in source:  # each worker of pytest asks this of every file
            continue
        module = file.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(source)):
            text = ast.get_docstring(node) if isinstance(node, _NODES) else None
            for code in re.findall(r"```python\n(.*?)```", text or "", re.DOTALL):
                yield getattr(node, "name", module), code


EXAMPLES = list(examples())
NEEDED = {
    "Batch",
    "Client",
    "fake",
    "FakeServer",
    "fetch_run",
    "Image",
    "Limits",
    "Listener",
    "nbp_server",
    "Plan",
    "Prices",
    "Profile",
    "Prompt",
    "Rate",
    "read_run",
    "recover_run",
    "Receiver",
    "Retry",
    "run_many",
    "run_virtual",
    "SpawnedServer",
    "Spend",
    "Timeouts",
    "Webhook",
}


def test_what_people_begin_with_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} >= NEEDED


def unfenced(text: str) -> bool:
    """Code stands in the text without a fence, where nothing would run it."""
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    indented = re.search(r"\n\n +(?:async |await |from |import |\w+ = )", outside)
    return indented is not None or ">>>" in outside


def test_code_in_a_docstring_stands_where_it_is_run() -> None:
    assert not [
        f"{file.relative_to(PACKAGE)}: {getattr(node, 'name', 'module')}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, _NODES) and unfenced(ast.get_docstring(node) or "")
    ]


@pytest.fixture
async def names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nbp_server: FakeServer
) -> AsyncIterator[dict[str, Any]]:
    """What the examples talk of: a client, prompts, a run with a batch job in `catalogue/`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBP_BASE_URL", nbp_server.gemini_url)
    monkeypatch.setenv("NBP_API_KEY", nbp_server.key)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    prompts = ["a red bicycle", "a green one"]
    async with Client.from_env() as first:
        batch = await first.many(["a blue bicycle"], size="1K", out="catalogue/")
        await first.many(["a grey one"], size="1K", out="catalogue/", via="batch", wait=False)
    async with Client.fake(server={"latency": 0.0}) as gen:
        yield {
            **{name: getattr(nbp_async, name) for name in nbp_async.__all__},
            **{name: getattr(nbp_async.webhooks, name) for name in nbp_async.webhooks.__all__},
            "asyncio": asyncio,
            "takes": takes,
            "os": os,
            "pytest": pytest,
            "Path": Path,
            "Decimal": Decimal,
            "FakeServer": FakeServer,
            "spawn": spawn,
            "run_virtual": run_virtual,
            "gen": gen,
            "prompts": prompts,
            "secret": SECRET,
            "queue": asyncio.Queue(),
            "service": web.Application(),
            "nbp_server": nbp_server,
            "batch": batch,
        }


@pytest.mark.parametrize(("name", "code"), EXAMPLES, ids=lambda word: word.split("\n")[0][:40])
async def test_it_runs(name: str, code: str, names: dict[str, Any]) -> None:
    asynchronous = "await " in code or "async with" in code or "async for" in code
    if name == "nbp_server":
        exec(code, names)
        await names["test_my_shop"](names["nbp_server"])
    elif asynchronous and "run_virtual" not in code:
        exec("async def example():\n" + textwrap.indent(code, "    "), names)
        await names["example"]()
    else:  # for plain scripts: no loop runs there
        await asyncio.to_thread(exec, code, names)
