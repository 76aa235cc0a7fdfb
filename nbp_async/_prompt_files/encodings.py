"""The encoding of a file of text, found from its bytes.

A byte order mark decides. Without one the file is UTF-8 if all of it is valid. Otherwise it may be
Windows-1252, the encoding of western spreadsheets, which has a character for nearly every byte:
any file would pass for it. So a file is refused that has valid characters of UTF-8 beside invalid
bytes (it is damaged), or four bytes beyond ASCII in a row (Chinese, Japanese, Russian or Greek):
300 images of garbled prompts would cost more than to save the file as UTF-8.
"""

import codecs
import re
from collections.abc import Iterable

from nbp_async._prompt_files.file_rows import not_understood

WINDOWS = "Windows-1252"
CODECS = {
    "UTF-8": "utf-8",
    "UTF-8 with BOM": "utf-8-sig",
    "UTF-16": "utf-16",
    WINDOWS: "cp1252",
}
_MARKS = {
    codecs.BOM_UTF8: "UTF-8 with BOM",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_OTHER_FILES = {
    b"PK\x03\x04": "a ZIP file or a workbook; a workbook's name ends in .xlsx",
    b"PAR1": "a Parquet file, whose name ends in .parquet",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Office file: save it as .xlsx",
}
_UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NOT_WINDOWS = re.compile(rb"[\x81\x8d\x8f\x90\x9d]|[\x80-\xff]{4}")  # five bytes it does not have


def detect_encoding(chunks: Iterable[bytes]) -> str:
    """The encoding of a file, one of `CODECS`; its bytes come in chunks of any length.

    Raises:
        ConfigError: It is binary, or not in one of these encodings, with the line.
    """
    decoder, line, invalid = codecs.getincrementaldecoder("utf-8")(), 1, 0
    name = ""
    has_utf_8 = is_foreign = False
    for chunk in chunks:
        if not name:
            name = _by_first_bytes(chunk)
        if name == "UTF-16":
            return name
        if b"\0" in chunk:
            line += chunk.count(b"\n", 0, chunk.index(b"\0"))
            raise not_understood("this is binary, or UTF-16 without a byte order mark.", line)
        if not chunk.isascii():
            has_utf_8 = has_utf_8 or _UTF_8.search(chunk) is not None
            is_foreign = is_foreign or _NOT_WINDOWS.search(chunk) is not None
        invalid = invalid or _invalid_line(decoder, chunk, line)
        line += chunk.count(b"\n")
    if not (invalid or _invalid_line(decoder, b"", line)):
        return name or "UTF-8"
    if name != "UTF-8" or has_utf_8 or is_foreign:
        raise not_understood(
            "this is not valid UTF-8.", invalid or line, hint="Save the file as UTF-8."
        )
    return WINDOWS


def _by_first_bytes(chunk: bytes) -> str:
    for magic, kind in _OTHER_FILES.items():
        if chunk.startswith(magic):
            raise not_understood(f"this is {kind}.", 1)
    return next((name for mark, name in _MARKS.items() if chunk.startswith(mark)), "UTF-8")


def _invalid_line(decoder: codecs.IncrementalDecoder, chunk: bytes, line: int) -> int:
    """The line of the first byte that is not UTF-8, or 0. An empty chunk is the end."""
    try:
        decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as exc:
        return line + exc.object.count(b"\n", 0, exc.start)
    return 0
