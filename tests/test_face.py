"""The face: what people import, and what importing it costs."""

import ast
import inspect
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import nbp_async
from nbp_async._base import errors

ROOT = Path(nbp_async.__file__).parent
NEVER_AT_IMPORT = {
    "aiohttp",
    "anyio",
    "asyncio",
    "httpx",
    "msgspec",
    "ssl",
    "typing",
    "pandas",
    "polars",
}
NEVER_FOR_HELP = {"aiohttp", "asyncio", "httpx", "jinja2", "msgspec", "rich", "ssl"}
PROMISED = {
    "Account",
    "AccountBill",
    "Attempt",
    "Batch",
    "BatchRun",
    "BatchStatus",
    "Bill",
    "Client",
    "DialectName",
    "Failure",
    "Image",
    "Job",
    "AutoLimit",
    "Limits",
    "Listener",
    "Model",
    "models",
    "fetch_run",
    "FetchOptions",
    "Outcome",
    "Plan",
    "Preview",
    "Prices",
    "Profile",
    "PROFILES",
    "Progress",
    "Prompt",
    "PromptFile",
    "Rate",
    "read_accounts",
    "read_prompts",
    "copy_journal",
    "read_run",
    "BoughtTwice",
    "merge_runs",
    "MergeReport",
    "rebuild_run",
    "RebuildReport",
    "recover_run",
    "RecoverOptions",
    "Report",
    "Retry",
    "Row",
    "run_many",
    "SyncClient",
    "SyncStream",
    "Purse",
    "QueueCounts",
    "Run",
    "RunControl",
    "RunLimits",
    "Running",
    "SubmitOptions",
    "Ticket",
    "TicketStatus",
    "Spend",
    "CallOptions",
    "ClientOptions",
    "ImageOptions",
    "option_fields",
    "OptionField",
    "TaskTable",
    "Timeouts",
    "Timings",
    "Usage",
    "Webhook",
    "Canvas",
    "canvas_for",
    "check_key",
    "endpoint_from_env",
    "key_from_env",
    "key_variable",
    "key_warning",
    "FailedLines",
    "Via",
    "find_profile",
    "on_signal",
    "parse_out",
    "read_run_jobs",
    "row_of",
    "RunJobs",
    "SchemeName",
    "Secret",
    "__version__",
}


def modules_after(code: str) -> set[str]:
    """The modules that `code` loads in a fresh interpreter, over a bare start."""
    watched = (
        "import sys, json; before = set(sys.modules)\n"
        f"{code}\n"
        "print('\\n' + json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_all_is_sorted() -> None:
    assert nbp_async.__all__ == sorted(nbp_async.__all__, key=str.casefold)


def test_all_holds_what_was_promised_and_every_error_and_nothing_else() -> None:
    kinds = {
        name
        for name, thing in vars(errors).items()
        if inspect.isclass(thing) and issubclass(thing, errors.NbpError)
    }
    assert set(nbp_async.__all__) == PROMISED | kinds


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: nbp_async._home(name) for name in nbp_async.__all__[1:]}


@pytest.mark.parametrize("name", nbp_async.__all__)
def test_every_name_can_be_imported_and_says_that_it_is_ours(name: str) -> None:
    thing = getattr(nbp_async, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert thing.__module__ == "nbp_async"
        assert pickle.loads(pickle.dumps(thing)) is thing


def test_dir_lists_the_names_before_they_are_used() -> None:
    assert set(nbp_async.__all__) <= set(dir(nbp_async))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = nbp_async.Clinet


def test_importing_the_package_loads_next_to_nothing() -> None:
    loaded = modules_after("import nbp_async")
    assert "nbp_async" in loaded
    assert not loaded & NEVER_AT_IMPORT
    assert len(loaded) <= 3, sorted(loaded)


def test_data_frames_are_loaded_when_they_are_asked_for() -> None:
    loaded = modules_after("from nbp_async import Batch, Client, read_run; Batch([])")
    assert not loaded & {"numpy", "pandas", "polars"}


def test_help_of_the_command_line_loads_nothing_heavy() -> None:
    loaded = modules_after(
        "from nbp_async.__main__ import main\n"
        "sys.argv = ['nbp', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code"
    )
    assert "click" in loaded
    assert not loaded & NEVER_FOR_HELP


def test_the_catalog_of_models_is_read_when_it_is_needed() -> None:
    modules_after(
        "from nbp_async import Client, Prompt\n"
        "from nbp_async._vendors.catalog import models\n"
        "Client('google', api_key='k' * 20), Prompt('a cat')\n"
        "assert not models.cache_info().currsize"
    )
