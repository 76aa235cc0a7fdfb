"""The house stands: imports run downhill, files fit one sitting, optional packages stay put.

An import inside a function, or for typing alone, is an import. Of the face (`__init__.py`) only
what it hands out counts, which is everything below it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nbp_async"
FILES = sorted(PACKAGE.rglob("*.py"))
ALL_FILES = sorted(
    path for room in ("nbp_async", "bench", "tests") for path in (ROOT / room).rglob("*.py")
)

FLOORS: list[set[str]] = [
    {"_http", "_handle", "_near", "_words"},
    {"_errors", "_html"},
    {"_config", "_prices", "_pixels", "_prompts", "_services", "_stores", "_thumbnail"},
    {"_models", "_profiles", "_tables"},
    {"_rows", "_cuts"},
    {"_frames"},
    {"_events", "_keys"},
    {"_refusals"},
    {"display"},
    {"_batch"},
    {"_dialects", "_transports", "_pacing", "_sinks", "_journal", "fake"},
    {"_images", "_webhooks"},
    {"_flow"},
    {"_options", "_callbacks", "_downloads"},
    {"_batching"},
    {"_parts"},
    {"_client", "_fetch"},
    {"_batch_runs", "_script"},
    {"__init__"},
    {"testing", "webhooks", "telemetry"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# An optional package is imported by the room that it was installed for, and by no other.
HOME_OF_OPTIONAL = {
    "click": {"cli"},
    "rich": {"cli", "display"},
    "jinja2": {"display"},
    "platformdirs": {"cli"},
    "httpx": {"_transports"},
    "uvloop": set(),
    "cryptography": {"fake", "_webhooks"},
    "psutil": set(),
    "requests": set(),
    "PIL": {"_thumbnail", "fake"},
    "pytest": {"testing"},
    "looptime": {"testing"},
    "opendal": {"_stores"},
    "opentelemetry": {"telemetry"},
    "pandas": {"_frames"},
    "polars": {"_frames"},
    "openai": set(),
    "google": set(),
}

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(file: Path) -> Iterator[str]:
    """The dotted names of everything that `file` imports, wherever in it the import stands."""
    package = (*file.relative_to(ROOT).parts[:-1],)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def rooms_imported(file: Path) -> set[str]:
    """The rooms of ours that `file` imports; a name from the face itself is room `__init__`."""
    ours = (name.split(".") for name in imports(file) if name.split(".")[0] == "nbp_async")
    return {parts[1] if len(parts) > 1 and parts[1] in FLOOR_OF else "__init__" for parts in ours}


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_run_downhill(file: Path) -> None:
    room = room_of(file)
    assert room in FLOOR_OF, f"{room} stands on no floor: give it one"
    below = {other for other, floor in FLOOR_OF.items() if floor < FLOOR_OF[room]}
    assert rooms_imported(file) <= below | {room}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_an_optional_package_is_imported_only_where_it_belongs(file: Path) -> None:
    optional = {name.split(".")[0] for name in imports(file)} & HOME_OF_OPTIONAL.keys()
    strangers = {package for package in optional if room_of(file) not in HOME_OF_OPTIONAL[package]}
    assert not strangers


@pytest.mark.parametrize("file", sorted((ROOT / "bench").rglob("*.py")), ids=name_of)
def test_the_bench_uses_only_what_people_can_use(file: Path) -> None:
    assert rooms_imported(file) <= {"__init__", "fake", "testing"}


@pytest.mark.parametrize("file", ALL_FILES, ids=name_of)
def test_a_file_fits_one_sitting(file: Path) -> None:
    lines = len(file.read_text().splitlines())
    assert lines <= MOST_LINES_OF_A_FILE


@pytest.mark.parametrize("file", ALL_FILES, ids=name_of)
def test_a_function_fits_a_screen(file: Path) -> None:
    long = {
        node.name: lines
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert not long


def test_optional_packages_are_looked_for_under_names_that_the_project_declares() -> None:
    """A renamed extra would otherwise leave its row above without effect."""
    declared = (ROOT / "pyproject.toml").read_text()
    distribution = {"PIL": "pillow", "google": "google-genai"}
    for package in HOME_OF_OPTIONAL:
        assert f'"{distribution.get(package, package)}' in declared
