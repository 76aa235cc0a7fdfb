"""A file of prompts as a whole: read again and again, and never taken for something else."""

import os
import random
import threading
from pathlib import Path

import pytest

from nbp_async import ConfigError, read_prompts
from tests.unit.prompt_files import read, refused


def test_it_is_a_sequence_of_prompts() -> None:
    file = read("p.txt", "# a comment\na\nb\nc\n")
    assert len(file) == 3
    assert [p.text for p in file[:2]] == ["a", "b"]
    assert [p.text for p in file[::-1]] == ["c", "b", "a"]
    assert [p.text for p in file[-2:-1]] == ["b"]
    assert file[-1].text == file[2].text == "c"
    assert {p.text for p in random.Random(1).sample(file, 3)} == {"a", "b", "c"}
    assert repr(file).startswith("PromptFile(")
    with pytest.raises(IndexError):
        _ = file[3]


@pytest.mark.parametrize("name", ["p.yaml", "p.csv.gz", "prompts", "p."])
def test_an_ending_that_is_not_known_is_refused(name: str) -> None:
    said = refused(name, "a\n")
    assert "a file of prompts ends in .txt, .csv, " in said
    assert "Pass format='txt'." in said
    assert [p.text for p in read(name, "a\n", format="txt")] == ["a"]


def test_a_format_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a\n")
    with pytest.raises(ConfigError, match=r"format='cvs': did you mean 'csv'\? give one of txt"):
        read_prompts(tmp_path / "p.txt", format="cvs")


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "json", "jsonl", "md"])
def test_an_empty_file_is_refused(ending: str) -> None:
    assert refused(f"p.{ending}", "").startswith(f"p.{ending} is empty. Nothing was sent.")
    assert f"p.{ending} has no prompts" in refused(f"p.{ending}", "\n \n")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read: No such file"):
        read_prompts(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.csv cannot be read: Is a directory"):
        read_prompts(tmp_path / "folder.csv")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "p.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("prompt\na\nb\n",))
    writer.start()
    file = read_prompts(pipe)
    writer.join()
    assert [p.text for p in file] == [p.text for p in file] == ["a", "b"]


def test_a_large_file_is_not_kept_in_memory_and_must_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbp_async._prompt_files.file_content._MOST_KEPT", 10)
    path = tmp_path / "p.txt"
    path.write_text("a bicycle\n" * 20)
    file = read_prompts(path)
    assert len(list(file)) == 20
    drawn = iter(file)
    next(drawn)
    path.write_text("a tram\n" * 40)
    for prompts in (drawn, file):
        with pytest.raises(ConfigError, match=r"p\.txt was changed after it was read"):
            list(prompts)


def test_a_small_file_may_be_edited_during_the_run(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("a bicycle\n")
    file = read_prompts(path)
    path.write_text("a tram\n")
    assert [p.text for p in file] == ["a bicycle"]


def test_progress_is_told(tmp_path: Path) -> None:
    path, told = tmp_path / "p.txt", list[int]()
    path.write_text("a\n" * 25_000)
    assert len(read_prompts(path, progress=told.append)) == 25_000
    assert told == [10_000, 20_000]
