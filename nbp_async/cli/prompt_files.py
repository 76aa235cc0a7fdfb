"""Prompts from a file: text, JSON lines or CSV.

The whole file is read before anything is sent, so that a mistake in its last line costs nothing.
"""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from nbp_async import ConfigError
from nbp_async.cli import exit_codes

PromptEntry = str | dict[str, Any]
_USUAL_COLUMNS = ("prompt", "text")
_OPTIONS = (
    "size",
    "aspect_ratio",
    "quality",
    "thinking",
    "n",
    "seed",
    "references",
)  # columns that are options of a prompt
_WHOLE = ("n", "seed")


def read_prompt_file(file: str, column: str | None = None) -> list[PromptEntry]:
    """The prompts in a file, or in stdin if it is `-`.

    Raises:
        InvalidUseError: It is not UTF-8.
        ConfigError: It cannot be read for another reason, or has no prompt. Nothing was sent.
    """
    return parse_prompts(file, _text(file), column)


def parse_prompts(name: str, text: str, column: str | None = None) -> list[PromptEntry]:
    """The prompts in `text`, in the format that the suffix of `name` says; `-` is plain text.

    Raises:
        ConfigError: It cannot be read, or has no prompt. Nothing was sent.
    """
    ending = Path(name).suffix.lower()
    prompts: list[PromptEntry]
    if column is not None and ending not in (".csv", ".jsonl"):
        raise ConfigError(f"{name} has no columns: --prompt-column is for .csv and .jsonl files.")
    if ending == ".csv":
        prompts = _from_csv(name, text, column)
    elif ending == ".jsonl":
        prompts = _from_json_lines(name, text, column)
    else:
        lines = (line.strip() for line in text.splitlines())
        prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise ConfigError(f"{'stdin' if name == '-' else name} has no prompts.")
    return prompts


def _from_csv(name: str, text: str, column: str | None) -> list[PromptEntry]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = [title or "" for title in rows.fieldnames or ()]
    chosen = column or next((c for c in _USUAL_COLUMNS if c in columns), None)
    if chosen is None and len(columns) == 1:
        chosen = columns[0]
    if chosen not in columns:
        wanted = chosen or "prompt"
        raise ConfigError(
            f"{name} has no column {wanted!r}; it has {', '.join(columns) or 'none'}.",
            hint="Name the column with --prompt-column.",
        )
    options = [title for title in _OPTIONS if title in columns and title != chosen]
    prompts: list[PromptEntry] = []
    for number, row in enumerate(rows, 1):
        prompt = (row[chosen] or "").strip()
        given = {title: cell for title in options if (cell := (row[title] or "").strip())}
        if prompt and given:
            prompts.append({"text": prompt} | _fitted(given, f"{name}, row {number}"))
        elif prompt:
            prompts.append(prompt)
    return prompts


def _fitted(given: dict[str, str], where: str) -> dict[str, Any]:
    """Cells, converted to the types of a prompt's options."""
    fitted: dict[str, Any] = dict(given)
    for title in _WHOLE:
        if title in given:
            try:
                fitted[title] = int(given[title])
            except ValueError:
                raise ConfigError(
                    f"{where}: {title} must be a whole number, not {given[title]!r}.",
                    hint="If the column means something else, rename it.",
                ) from None
    if "references" in given:
        fitted["references"] = [given["references"]]
    return fitted


def _from_json_lines(name: str, text: str, column: str | None) -> list[PromptEntry]:
    prompts: list[PromptEntry] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as exc:
            why = str(exc)  # a number with too many digits, or too many nested brackets
            if isinstance(exc, json.JSONDecodeError):
                why = f"{exc.msg.lower()}, at column {exc.colno}"
            raise ConfigError(f"{name}, line {number} is not JSON: {why}.") from exc
        if column is not None and isinstance(entry, dict):
            if column not in entry:
                raise ConfigError(f"{name}, line {number} has no {column!r}.")
            entry = entry[column]
        if not isinstance(entry, str | dict):
            raise ConfigError(
                f"{name}, line {number}: a prompt must be a string, or an object with a text."
            )
        prompts.append(entry)
    return prompts


def _text(file: str) -> str:
    """The file's text, without the byte order mark that spreadsheets write."""
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise exit_codes.InvalidUseError(
            f"{file} is not UTF-8: byte {exc.start + 1:,} is invalid. Save it as UTF-8. "
            "Nothing was sent."
        ) from exc
