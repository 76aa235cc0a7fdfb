"""The API reference: every public name says what it is, and one command writes it all down."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbp_async
import nbp_async.fake
import nbp_async.webhooks

ROOT = Path(__file__).parent.parent
MODULES = (nbp_async, nbp_async.fake, nbp_async.webhooks)
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


def test_make_docs_writes_the_reference(tmp_path: Path) -> None:
    assert "\t$(BIN)/python .ci/docs out/docs\n" in (ROOT / "Makefile").read_text()
    done = subprocess.run(
        [sys.executable, ".ci/docs", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "nbp_async.html").read_text()
    for name in nbp_async.__all__:
        if inspect.isclass(getattr(nbp_async, name)):
            assert f'id="{name}"' in page
    assert 'id="Client.many"' in page
    assert (tmp_path / "nbp_async" / "fake" / "faults.html").is_file()
    for part in ("fake", "testing", "webhooks"):
        assert f'href="nbp_async/{part}.html"' in page
        assert (tmp_path / "nbp_async" / f"{part}.html").is_file()
    assert str(ROOT) not in page
    assert not re.findall(r"nbp_async\._[a-z_.]+\.[A-Z]\w+|&lt;class", page)
