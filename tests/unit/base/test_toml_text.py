"""Whatever a user's TOML file is, the error is a sentence with the file's name and what to do."""

import os
from pathlib import Path

import pytest

from nbp_async import ConfigError, Profile
from nbp_async.cli.key_file import read_keys

FINE = 'base_url = "https://api.acme.example/v1"\nsubmit = "/images"\nlook = "/images/{id}"\n'
FINE += 'links = ["url"]\n'
DEEP = "nested more than 32 deep"
BAD = {
    "latin-1": (FINE.encode() + b"# f\xfcr uns\n", "is not UTF-8: byte 1"),
    "utf-16": (FINE.encode("utf-16"), "is not UTF-8: byte 1 is invalid"),
    "binary": (bytes(range(256)), "not"),
    "half a character": (FINE.encode() + b'x = "\\ud800"\n', "is not valid TOML"),
    "a raw surrogate": (FINE.encode() + b'x = "\xed\xa0\x80"\n', "is not UTF-8"),
    "nested lists": (
        b"body = {a = " + b"[" * 1000 + b"]" * 1000 + b"}",
        "nested more than 32 deep",
    ),
    "open brackets": (b"a = " + b"[" * 5000, DEEP),
    "nested tables": (
        b"body = " + b"{a = " * 1000 + b"1" + b"}" * 1000,
        "nested more than 32 deep",
    ),
    "dotted names": (FINE.encode() + b"body" + b".a" * 1000 + b" = 1", DEEP),
    "a huge number": (b"usual = {1K = " + b"1" * 5000 + b"}", "is not valid TOML"),
    "a null byte": (b"\x00", "is not valid TOML"),
    "JSON": (b'{"base_url": "https://api.acme.example/v1"}', "is not valid TOML"),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=list(BAD))
def test_what_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, data: bytes, words: str
) -> None:
    file = tmp_path / "acme.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=words) as caught:
        Profile.from_toml(file)
    assert "acme.toml" in str(caught.value)
    assert "Nothing was sent" in str(caught.value)
    assert len(str(caught.value)) < 500
    str(caught.value).encode()


@pytest.mark.parametrize("name", ["no.toml", "a\0b.toml", "half \udcff.toml", "."])
def test_so_is_a_file_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        Profile.from_toml(tmp_path / name)
    str(caught.value).encode()


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_bytes(FINE.encode("utf-8-sig"))
    assert Profile.from_toml(tmp_path / "acme.toml").name == "acme"


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
@pytest.mark.parametrize("data", [b"\xff", b"a = " + b"[" * 5000, b'a = "\\ud800"'])
def test_so_is_a_key_file_without_a_word_of_it(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "keys.toml"
    file.write_bytes(data)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="nbp auth set"):
        read_keys(file)
