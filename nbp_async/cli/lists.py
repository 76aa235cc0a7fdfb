"""Prompts from a file: text, JSON lines or CSV. It is read as a whole before anything is sent, so
that a mistake in its last line costs nothing.
"""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from nbp_async import ConfigError
from nbp_async.cli import codes

Entry = str | dict[str, Any]
_USUAL_COLUMNS = ("prompt", "text")
_OPTIONS = ("size", "aspect_ratio", "n", "seed", "references")  # what a cell can say of a prompt
_WHOLE = ("n", "seed")


def prompts_of(file: str, column: str | None = None) -> list[Entry]:
    """The prompts in a file, or in stdin where it is `-`.

    Raises:
        Misuse: It is not UTF-8.
        ConfigError: It cannot be read otherwise, or holds no prompt. Nothing was sent.
    """
    return read_prompts(file, _text(file), column)


def read_prompts(name: str, text: str, column: str | None = None) -> list[Entry]:
    """The prompts in `text`, read as the ending of `name` says; `-` is plain text.

    Raises:
        ConfigError: It cannot be read, or holds no prompt. Nothing was sent.
    """
    ending = Path(name).suffix.lower()
    prompts: list[Entry]
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
        raise ConfigError(f"{name}: no prompt in it. Nothing was sent.")
    return prompts


def _from_csv(name: str, text: str, column: str | None) -> list[Entry]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = [title or "" for title in rows.fieldnames or ()]
    chosen = column or next((c for c in _USUAL_COLUMNS if c in columns), None)
    if chosen is None and len(columns) == 1:
        chosen = columns[0]
    if chosen not in columns:
        wanted = chosen or "prompt"
        raise ConfigError(
            f"{name}: no column {wanted!r}; it has {', '.join(columns) or 'none'}. "
            "Say which with --prompt-column. Nothing was sent."
        )
    options = [title for title in _OPTIONS if title in columns and title != chosen]
    prompts: list[Entry] = []
    for number, row in enumerate(rows, 1):
        prompt = (row[chosen] or "").strip()
        given = {title: cell for title in options if (cell := (row[title] or "").strip())}
        if prompt and given:
            prompts.append({"text": prompt} | _fitted(given, f"{name}, row {number}"))
        elif prompt:
            prompts.append(prompt)
    return prompts


def _fitted(given: dict[str, str], where: str) -> dict[str, Any]:
    """Cells as what a prompt has them as."""
    fitted: dict[str, Any] = dict(given)
    for title in _WHOLE:
        if title in given:
            try:
                fitted[title] = int(given[title])
            except ValueError:
                raise ConfigError(
                    f"{where}: {title}={given[title]!r} is no whole number. If the column means "
                    "something else, give it another name. Nothing was sent."
                ) from None
    if "references" in given:
        fitted["references"] = [given["references"]]
    return fitted


def _from_json_lines(name: str, text: str, column: str | None) -> list[Entry]:
    prompts: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as exc:
            why = str(exc)  # of a number with too many digits, or brackets in brackets
            if isinstance(exc, json.JSONDecodeError):
                why = f"{exc.msg.lower()}, at column {exc.colno}"
            raise ConfigError(
                f"{name}, line {number} is not JSON: {why}. Nothing was sent."
            ) from exc
        if column is not None and isinstance(entry, dict):
            if column not in entry:
                raise ConfigError(f"{name}, line {number}: no {column!r}. Nothing was sent.")
            entry = entry[column]
        if not isinstance(entry, str | dict):
            raise ConfigError(
                f"{name}, line {number}: a prompt is a string, or an object with a text. "
                "Nothing was sent."
            )
        prompts.append(entry)
    return prompts


def _text(file: str) -> str:
    """The file's text, with or without the mark that spreadsheets put at its start."""
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise codes.Misuse(
            f"{file} is not UTF-8: byte {exc.start + 1:,} is no part of it. Save it as UTF-8. "
            "Nothing was sent."
        ) from exc
