"""The rules that keep the house in order; each test lists everything that breaks its rule.

`python -m tests.test_architecture` prints the figures of the house.

An import inside a function, or for typing alone, is an import. Of the face (`__init__.py`) only
what it hands out counts, which is everything below it.
"""

import ast
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nbp_async"

FLOORS: list[set[str]] = [
    {"_base", "fake"},
    {"_vendors", "_stores"},
    {"_models"},
    {"display", "_prompt_files"},
    {"_dialects", "_transports", "_pacing", "_sinks", "_journal"},
    {"_images", "_webhooks"},
    {"_flow"},
    {"_batch_api"},
    {"_calls"},
    {"_client"},
    {"__init__"},
    {"testing", "webhooks", "telemetry"},
    {"gateway"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# The rooms that may import an optional package: those it was installed for.
HOME_OF_OPTIONAL: dict[str, set[str]] = {
    "click": {"cli"},
    "rich": {"cli", "display"},
    "jinja2": {"display"},
    "platformdirs": {"cli"},
    "httpx": {"_transports"},
    "httptools": {"_transports"},
    "brotli": {"_transports"},
    "zstandard": {"_transports"},
    "uvloop": set(),
    "cryptography": {"fake", "_webhooks"},
    "psutil": set(),
    "requests": set(),
    "PIL": {"_models", "fake"},
    "pytest": {"testing"},
    "looptime": {"testing"},
    "opendal": {"_stores"},
    "truststore": {"_transports"},
    "opentelemetry": {"telemetry"},
    "pandas": {"_models"},
    "polars": {"_models", "_prompt_files"},
    "psycopg": {"_journal", "gateway"},
    "python_calamine": {"_prompt_files"},
    "openai": set(),
    "google": set(),
}
DISTRIBUTION = {
    "PIL": "pillow",
    "google": "google-genai",
    "python_calamine": "python-calamine",
}

# The rooms that the bench and the command line may import.
BENCH_MAY_IMPORT = {"__init__", "fake", "testing", "display"}
CLI_MAY_IMPORT = {"__init__", "fake", "testing", "display", "webhooks", "gateway"}
GATEWAY_MAY_IMPORT = {"__init__", "webhooks"}

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40
MOST_LOOSE_FILES = 6
MOST_FMT_SKIPS = 15  # aim: 0

# Classes that share a name because they implement one protocol: the name, and the protocol.
ONE_PROTOCOL: dict[str, str] = {}
STEMS_THAT_REPEAT = {"init__", "main__", "base", "app"}


def python_files(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


OURS = python_files("nbp_async")
EVERYTHING = python_files("nbp_async", "bench", "tests", ".ci")


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def imports(file: Path) -> frozenset[str]:
    """The dotted names of everything that `file` imports, wherever in it the import stands."""
    package = file.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def rooms_imported(file: Path) -> set[str]:
    """The rooms of ours that `file` imports; a name from the face itself is room `__init__`."""
    ours = (name.split(".") for name in imports(file) if name.split(".")[0] == "nbp_async")
    return {parts[1] if len(parts) > 1 and parts[1] in FLOOR_OF else "__init__" for parts in ours}


def modules_imported(file: Path) -> set[Path]:
    """The files of ours that `file` imports, a package's `__init__.py` only if it is named."""
    found = set()
    for name in imports(file):
        place = ROOT.joinpath(*name.split("."))
        for path in (place.with_suffix(".py"), place.parent.with_suffix(".py")):
            if path.is_file() and PACKAGE in path.parents:
                found.add(path)
    return found - {file}


def doubles(names: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that stand in more than one place, with these places."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, file in names:
        places[name].append(name_of(file))
    return {name: files for name, files in places.items() if len(files) > 1}


def assert_none(offenders: Iterable[str]) -> None:
    found = sorted(offenders)
    assert not found, "\n".join(["", *found])


def test_every_room_stands_on_a_floor() -> None:
    assert_none({room_of(file) for file in OURS} ^ FLOOR_OF.keys())


def test_imports_run_downhill() -> None:
    assert_none(
        f"{name_of(file)} imports {other}"
        for file in OURS
        for other in rooms_imported(file) - {room_of(file)}
        if FLOOR_OF[other] >= FLOOR_OF[room_of(file)]
    )


def test_the_fake_server_is_a_witness_of_its_own() -> None:
    """It could not testify against the client with the client's own tables and readers."""
    assert_none(
        f"{name_of(file)} imports {other}"
        for file in python_files("nbp_async/fake")
        for other in rooms_imported(file) - {"fake"}
    )


def test_no_files_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({file: modules_imported(file) for file in OURS}).prepare()
    except CycleError as exc:
        assert_none(" imports ".join(map(name_of, reversed(exc.args[1]))).splitlines())


def test_optional_packages_are_imported_only_at_home() -> None:
    assert_none(
        f"{name_of(file)} imports {package}"
        for file in OURS
        for package in {name.split(".")[0] for name in imports(file)} & HOME_OF_OPTIONAL.keys()
        if room_of(file) not in HOME_OF_OPTIONAL[package]
    )


def test_optional_packages_are_declared_under_these_names() -> None:
    """A renamed extra would otherwise leave its row above without effect."""
    declared = (ROOT / "pyproject.toml").read_text()
    assert_none(
        name for name in HOME_OF_OPTIONAL if f'"{DISTRIBUTION.get(name, name)}' not in declared
    )


def test_the_bench_imports_only_what_people_can_use() -> None:
    assert_none(
        f"{name_of(file)} imports {other}"
        for file in python_files("bench")
        for other in rooms_imported(file) - BENCH_MAY_IMPORT
    )


def test_the_command_line_imports_only_what_people_can_use() -> None:
    assert_none(
        f"{name_of(file)} imports {other}"
        for file in python_files("nbp_async/cli")
        for other in rooms_imported(file) - CLI_MAY_IMPORT - {"cli"}
    )


def test_the_gateway_imports_only_what_people_can_use() -> None:
    assert_none(
        f"{name_of(file)} imports {other}"
        for file in python_files("nbp_async/gateway")
        for other in rooms_imported(file) - GATEWAY_MAY_IMPORT - {"gateway"}
    )


def test_a_file_fits_one_sitting() -> None:
    lines = {file: len(file.read_text().splitlines()) for file in EVERYTHING}
    assert_none(f"{name_of(file)}: {n}" for file, n in lines.items() if n > MOST_LINES_OF_A_FILE)


def test_a_function_fits_a_screen() -> None:
    assert_none(
        f"{name_of(file)}: {node.name} has {lines} lines"
        for file in EVERYTHING
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    )


def test_no_two_classes_share_a_name() -> None:
    """Unless they implement one protocol; `_Name` and `Name` are the same name."""
    classes = (
        (node.name.lstrip("_"), file)
        for file in OURS
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ClassDef)
    )
    assert_none(
        f"{name}: {', '.join(files)}"
        for name, files in doubles(classes).items()
        if name not in ONE_PROTOCOL
    )


def test_no_two_modules_share_a_stem() -> None:
    assert_none(
        f"{stem}: {', '.join(files)}"
        for stem, files in doubles((file.stem.lstrip("_"), file) for file in OURS).items()
        if stem not in STEMS_THAT_REPEAT
    )


def test_the_hall_is_not_a_room() -> None:
    loose = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert len(loose - {"__init__.py", "__main__.py"}) <= MOST_LOOSE_FILES, loose


def test_the_formatter_decides_how_code_is_laid_out() -> None:
    skips = Counter(
        {name_of(file): file.read_text().count("# fmt" + ": skip") for file in EVERYTHING}
    )
    assert skips.total() <= MOST_FMT_SKIPS, +skips


def figures() -> dict[str, int]:
    """What these rules leave open: how large the house is, and how much its rooms know."""
    arrows = {(room_of(file), other) for file in OURS for other in rooms_imported(file)}
    arrows = {(room, other) for room, other in arrows if room != other}
    height: dict[str, int] = {}
    for room in TopologicalSorter(
        {room: {below for above, below in arrows if above == room} for room in FLOOR_OF}
    ).static_order():
        height[room] = 1 + max((height[b] for a, b in arrows if a == room), default=0)
    lines = {room: 0 for floor in FLOORS for room in floor}
    for file in OURS:
        lines[room_of(file)] += len(file.read_text().splitlines())
    texts = (StringIO(file.read_text()) for file in OURS)
    tokens = (token for text in texts for token in tokenize.generate_tokens(text.readline))
    comments = sum(token.type == tokenize.COMMENT for token in tokens)
    return {
        "rooms": len(height),
        "floors": max(height.values()),
        "arrows": len(arrows),
        "lines": sum(lines.values()),
        "comments": comments,
        **{f"lines of {room}": count for room, count in sorted(lines.items())},
    }


if __name__ == "__main__":
    for what, figure in figures().items():
        print(f"{what:<24}{figure:>8,}")
