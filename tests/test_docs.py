"""The documentation: every public name says what it is, and one command builds all pages."""

import inspect
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbp_async
import nbp_async.fake
import nbp_async.gateway
import nbp_async.telemetry
import nbp_async.webhooks
from nbp_async.cli.help_command import topics
from tests.test_architecture import FLOORS

ROOT = Path(__file__).parent.parent
MODULES = (
    nbp_async,
    nbp_async.fake,
    nbp_async.gateway,
    nbp_async.webhooks,
    nbp_async.telemetry,
)
PUBLIC = [
    (f"{module.__name__}.{name}", thing)
    for module in MODULES
    for name in module.__all__
    if inspect.isclass(thing := getattr(module, name)) or inspect.isfunction(thing)
]


def silent(name: str, thing: object) -> Iterator[str]:
    """What of a public name has no docstring."""
    if not thing.__doc__ or thing.__doc__.startswith(f"{name.rpartition('.')[2]}("):
        yield name
    if not inspect.isclass(thing):
        return
    for member, value in vars(thing).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        ours = not member.startswith("_") and inspect.isfunction(function)
        inherited = any(getattr(base, member, None) for base in thing.__mro__[1:])
        if ours and not inherited and not function.__doc__:
            yield f"{name}.{member}"


@pytest.mark.parametrize(("name", "thing"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_every_public_name_says_what_it_is(name: str, thing: object) -> None:
    assert not list(silent(name, thing))


def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / ".ci" / "docs"))


def test_each_public_name_stands_once_in_the_reference() -> None:
    listed = [name for names in script()["REFERENCE"].values() for name in names.split()]
    assert len(listed) == len(set(listed))
    of_modules = {
        f"{module.__name__}.{name}".removeprefix("nbp_async.")
        for module in MODULES
        for name in module.__all__
    }
    elsewhere = {"__version__", "webhooks.Webhook"}  # Webhook is the face's as well
    modules = {name for name in listed if name.split(".")[-1].islower() and "." in name}
    assert set(listed) == (of_modules - elsewhere) | modules


def test_each_topic_stands_once_in_the_guide() -> None:
    listed = [name for names in script()["GUIDE"].values() for name in names]
    assert sorted(listed) == sorted(topics())


@pytest.mark.slow
def test_make_docs_builds_guide_and_reference(tmp_path: Path) -> None:
    assert "\t$(BIN)/python .ci/docs out/docs\n" in (ROOT / "Makefile").read_text()
    done = subprocess.run(
        [sys.executable, ".ci/docs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path: path.read_text() for path in tmp_path.rglob("*.html")}
    reference = "".join(text for path, text in pages.items() if path.parent.name == "reference")
    for name, _ in PUBLIC:
        if name != "nbp_async.webhooks.Webhook":
            assert f'id="{name}"' in reference
    assert 'id="nbp_async.Client.many"' in reference
    assert 'id="nbp_async.fake.faults.disconnect"' in reference
    for name in topics():
        assert tmp_path / "guide" / f"{name}.html" in pages
    everything = "".join(pages.values()) + (tmp_path / "search.json").read_text()
    assert str(ROOT) not in everything
    assert not re.findall(r"nbp_async\._[a-z_.]+\.[A-Z]\w+", reference)
    assert "max_cost" in (tmp_path / "search.json").read_text()


def test_what_the_page_for_contributors_names_exists() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    paths = {
        path
        for path in re.findall(r"`([\w./-]+/[\w./-]*)`", text)
        if "NAME" not in path and "://" not in path
    }
    assert len(paths) > 30
    assert not [
        path
        for path in sorted(paths)
        if not (ROOT / path).exists() and not (ROOT / "nbp_async" / path).exists()
    ]


def test_the_page_for_contributors_draws_the_floors() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    drawing = text.partition("draws the same floors.\n\n```\n")[2].partition("```")[0]
    drawn = [set(re.split("  +", line.partition("   ")[0])) for line in drawing.splitlines()]
    assert drawn == FLOORS[::-1]
