"""A file of prompts: read once to know what is in it, and again when prompts are drawn."""

import io
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, BinaryIO, ClassVar, overload

from nbp_async._base.errors import ConfigError, NbpError
from nbp_async._base.suggestions import suggest
from nbp_async._base.text import plural, printable
from nbp_async._models.prompts import Prompt
from nbp_async._models.shards import Shard
from nbp_async._models.tables import PromptRows
from nbp_async._prompt_files.delimited import delimiter_name, rows_of_csv, rows_of_tsv
from nbp_async._prompt_files.encodings import CODECS, detect_encoding
from nbp_async._prompt_files.file_content import STDIN, FileContent
from nbp_async._prompt_files.file_rows import FileNotes, FileRow, not_understood
from nbp_async._prompt_files.json_rows import rows_of_json, rows_of_json_lines
from nbp_async._prompt_files.plain_text import items_of_markdown, lines_of_text
from nbp_async._prompt_files.row_prompts import RowPrompts, locate
from nbp_async._prompt_files.workbooks import rows_of_parquet, rows_of_xlsx

_TEXTS = {
    "txt": lines_of_text,
    "csv": rows_of_csv,
    "tsv": rows_of_tsv,
    "json": rows_of_json,
    "jsonl": rows_of_json_lines,
    "md": items_of_markdown,
}
_WORKBOOKS = {"xlsx": rows_of_xlsx, "parquet": rows_of_parquet}
_OTHER_ENDINGS = {"text": "txt", "tab": "tsv", "ndjson": "jsonl", "markdown": "md"}
_WITHOUT_COLUMNS = ("txt", "md")
_STEP = 10_000  # rows between two reports of progress


class PromptFile(PromptRows):
    """The prompts of a file, as `read_prompts` returns it: a sequence of `Prompt`.

    | ending | a prompt is |
    |---|---|
    | `.txt` | a line, unless it is blank or begins with # |
    | `.csv`, `.tsv` | a row; the first line has names of columns |
    | `.json`, `.jsonl`, `.ndjson` | an item of an array, or a line: a text or an object |
    | `.md` | an item of a list |
    | `.xlsx`, `.parquet` | a row of the first sheet, or of the table: extra `[frames]` |

    Columns, or fields of an object, whose names are those of options (`size`, `Aspect Ratio`, `n`)
    are options of their row, unless `ignore` names them; others are ignored, which `str` of the
    file says. The text is in `prompt`, `text` or `prompt text`.

    Iterating reads the file again, so that a million prompts are never in memory. So does an index
    or a slice: use them for a look at the first prompts.

    Attributes:
        FORMATS: What a file may be.
        name: The file, as it was given; "stdin" for `-`.
        format: One of these.
        encoding: "UTF-8", "UTF-8 with BOM", "UTF-16" or "Windows-1252", as detected; "" of .xlsx
            and .parquet.
        delimiter: Of a CSV, as detected; "" for other files, and where there is one column.
        sheet: Of a workbook; the first that is visible and has cells. "" for other files.
        other_sheets: Sheets with cells that are left out.
        rows: Rows of the file, those without text included.
        skipped: Rows without text: blank lines, comments of a text, empty cells.
        images: Images to make: each prompt counts as often as its `n` says.
        sizes: The sizes that rows ask for, as they are written.
        uses: What each column stands for, as `{"Aspect Ratio": "aspect_ratio"}`.
        ignores: Columns that are not used.
        outside: Lines of a Markdown file that are in no list.
        progress: Called with the number of rows read so far, after each 10,000, whenever the file
            is read again: to check its prompts, and while they are drawn. None (default) for none.
    """

    FORMATS: ClassVar[tuple[str, ...]] = (*_TEXTS, *_WORKBOOKS)

    def __init__(
        self,
        content: FileContent,
        name: str,
        kind: str,
        *,
        column: str | None = None,
        ignore: Sequence[str] = (),
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self.name = name
        self.format = kind
        self._content = content
        self._column, self._ignore = column, ignore
        self.rows = self.skipped = self.images = 0
        with _named(self.name):
            is_text = kind in _TEXTS
            self.encoding = detect_encoding(content.chunks()) if is_text else ""
            self.progress = progress
            self._count()
            self.progress = None

    def _count(self) -> None:
        notes, sizes = FileNotes(), set()
        made = RowPrompts(notes, self._column, self._ignore)
        for _, prompt in self._read(notes, made):
            self.rows += 1
            if prompt is None:
                self.skipped += 1
                continue
            self.images += prompt.n
            sizes.add(prompt.size)
        made.check_ignored()
        self._noun, self.sheet = notes.noun, notes.sheet
        self.other_sheets = tuple(notes.other_sheets)
        self.delimiter, self.outside = notes.delimiter, notes.outside
        self.sizes = frozenset(size for size in sizes if size is not None)
        self.uses, self.ignores = dict(made.uses), tuple(made.ignores)
        if self.skipped == self.rows:
            lists = " A prompt is an item of a list: - a red bicycle." if self.outside else ""
            where = f" in sheet {self.sheet!r}" if self.sheet else ""
            raise not_understood(f"has no prompts{where}.{lists}")

    def __len__(self) -> int:
        return self.rows - self.skipped

    def __iter__(self) -> Iterator[Prompt]:
        with _named(self.name):
            for _, prompt in self._again(FileNotes()):
                yield prompt

    @overload
    def __getitem__(self, index: int) -> Prompt: ...
    @overload
    def __getitem__(self, index: slice) -> list[Prompt]: ...
    def __getitem__(self, index: int | slice) -> Prompt | list[Prompt]:
        if isinstance(index, int):
            place = range(len(self))[index]
            return next(itertools.islice(iter(self), place, None))
        start, stop, step = index.indices(len(self))
        return list(itertools.islice(self, start, stop, step)) if step > 0 else list(self)[index]

    def __repr__(self) -> str:
        return f"PromptFile({self})"

    def __str__(self) -> str:
        """What the file is and what of it is used, in one line."""
        what = [plural(self.rows, self._noun)]
        what += [f"sheet {self.sheet!r}"] if self.sheet else []
        what += [delimiter_name(self.delimiter)] if self.delimiter else []
        what += [self.encoding] if self.encoding else []
        parts = [f"{self.name}: {', '.join(what)}"]
        parts += [f"uses {', '.join(self.uses)}"] if self.uses else []
        parts += [f"ignores {', '.join(self.ignores)}"] if self.ignores else []
        others = ", ".join(map(repr, self.other_sheets))
        parts += [f"leaves out sheet {others}"] if others else []
        parts += [f"{plural(self.outside, 'line')} outside of lists left out"] * bool(self.outside)
        parts += [f"{plural(self.skipped, self._noun)} without text skipped"] * bool(self.skipped)
        return "; ".join(printable(part) for part in parts)

    @property
    def facts(self) -> dict[str, Any]:
        """The attributes, for JSON."""
        names = ("name", "format", "encoding", "delimiter", "sheet", "rows", "skipped", "images")
        found = {name: getattr(self, name) for name in (*names, "uses", "ignores", "other_sheets")}
        return found | {"outside": self.outside}

    def images_of(self, shard: str | None) -> int:
        """How many images a part of it has, such as "3/100"; None for all of it.

        Raises:
            ConfigError: There is no such part.
        """
        if shard is None:
            return self.images
        part = Shard.parse(shard)
        return sum(prompt.n for prompt in itertools.islice(self, part.number - 1, None, part.count))

    def locate(self, error: NbpError, index: int) -> None:
        notes = FileNotes()
        row = next(itertools.islice((row for row, _ in self._again(notes)), index, None))
        cells = row.cells if isinstance(row.cells, Mapping) else {}
        named = [name for name, field in self.uses.items() if field == error.option]
        error.row, error.column = row.row, next((name for name in named if name in cells), "")
        locate(error, notes, row.line)
        error.where = f"{self.name}, {error.where}"

    def _again(self, notes: FileNotes) -> Iterator[tuple[FileRow, Prompt]]:
        for row, prompt in self._read(notes, RowPrompts(notes, self._column, self._ignore)):
            if prompt is not None:
                yield row, prompt

    def _read(self, notes: FileNotes, made: RowPrompts) -> Iterator[tuple[FileRow, Prompt | None]]:
        for row in self._rows(notes):
            if self.progress is not None and row.row % _STEP == _STEP - 1:
                self.progress(row.row + 1)
            yield row, made.prompt(row)
        if notes.header:  # it may be all there is
            made.fields(notes.header, notes.header_line)

    def _rows(self, notes: FileNotes) -> Iterator[FileRow]:
        if self.format in _WORKBOOKS:
            yield from _WORKBOOKS[self.format](self._content.source, notes)
            return
        with self._content.open() as file:
            yield from _TEXTS[self.format](self._lines(file), notes)

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        """Lines end at line feeds alone: a prompt may have any other character that breaks one."""
        with io.TextIOWrapper(file, encoding=CODECS[self.encoding], newline="\n") as text:
            for number in itertools.count(1):
                try:
                    line = text.readline()
                except UnicodeDecodeError as exc:
                    raise not_understood(f"this is not valid {self.encoding}.", number) from exc
                if not line:
                    return
                self._content.check_unchanged(file)
                yield line


def read_prompts(
    path: str | os.PathLike[str],
    *,
    column: str | None = None,
    ignore: str | Sequence[str] = (),
    format: str | None = None,  # noqa: A002  what people call it
    progress: Callable[[int], object] | None = None,
) -> PromptFile:
    """Read a file of prompts, whatever it was made with; `PromptFile` says what is understood.

    It is read and checked as a whole, and again while its prompts are drawn. This blocks: for a
    million rows use `asyncio.to_thread`. Nothing is sent.

    ```python
    Path("shop.csv").write_text("sku;prompt;size\\n17;a red bicycle;1K\\n18;;4K\\n19;a lamp;1K\\n")
    shop = read_prompts("shop.csv")
    assert str(shop) == (
        "shop.csv: 3 rows, ';', UTF-8; uses prompt, size; ignores sku; 1 row without text skipped"
    )
    batch = await gen.many(shop)
    assert [image.prompt.row for image in batch] == [0, 2]
    ```

    Args:
        path: The file, or `-` for stdin.
        column: The column, or the field of an object, that holds the prompts.
        ignore: Columns, or fields, that are not used, whatever their names mean.
        format: One of `PromptFile.FORMATS`; None for what the ending says, "txt" for stdin.
        progress: Called with the number of rows read so far, after each 10,000.

    Raises:
        ConfigError: It cannot be read or understood, or has no prompts, with file and line.
    """
    name = "stdin" if path == STDIN else os.fspath(path)
    kind = _format_of(name, format)
    ignored = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    _check_columns(name, kind, column, ignored)
    with _named(name):
        content = FileContent(os.fspath(path))
    return PromptFile(content, name, kind, column=column, ignore=ignored, progress=progress)


def _check_columns(name: str, kind: str, column: str | None, ignored: tuple[str, ...]) -> None:
    named = column if column is not None else next(iter(ignored), None)
    if named is not None and kind in _WITHOUT_COLUMNS:
        raise ConfigError(
            f"{name} has no columns.", hint=f"Leave out the name of the column, {named!r}."
        )
    if column is not None and column in ignored:
        raise ConfigError("this column holds the prompts.", option="ignore", value=column)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let errors name the file."""
    try:
        yield
    except ConfigError as exc:
        if exc.where:
            exc.where = f"{name}, {exc.where}"
        else:
            exc.args = (f"{name} {exc.message}",)
        raise


def _format_of(name: str, given: str | None) -> str:
    formats = PromptFile.FORMATS
    if given is not None:
        if given not in formats:
            near = suggest(given, formats)
            raise ConfigError(
                f"{near}give one of {', '.join(formats)}.", option="format", value=given
            )
        return given
    if name == "stdin":
        return "txt"
    ending = PurePath(name).suffix.lower().removeprefix(".")
    kind = _OTHER_ENDINGS.get(ending, ending)
    if kind not in formats:
        what = f"The ending .{ending} of {name}" if ending else f"{name} has no ending, which"
        raise ConfigError(
            f"{what} does not say what it is: a file of prompts ends in "
            f"{', '.join(f'.{each}' for each in formats)}.",
            remedy={"format": "txt"},
        )
    return kind
