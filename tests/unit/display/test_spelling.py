"""What a terminal lacks is spelled: signs plainly, letters so that they can be told."""

import sys
from io import BytesIO, TextIOWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import __main__ as entry
from nbp_async.display.spelling import spell


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("1 image · 2 × $0.134 …", "ascii", "1 image | 2 x $0.134 ..."),
        ("vélo → 自", "ascii", "v\\xe9lo -> \\u81ea"),
        ("vélo · 2 × …", "latin-1", "vélo · 2 × ..."),
        ("自行车 — …", "utf-8", "自行车 — …"),
        ("half \ud800", "utf-8", "half \\ud800"),
    ],
)
def test_signs_are_plain_and_letters_are_escaped(text: str, encoding: str, shown: str) -> None:
    assert spell(text, encoding) == shown


@given(st.text(max_size=40), st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8", "shift-jis"]))
def test_nothing_is_left_that_the_terminal_lacks(text: str, encoding: str) -> None:
    spell(text, encoding).encode(encoding)


class Stream(TextIOWrapper):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__(BytesIO(), encoding="ascii")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_data_is_escaped_and_what_people_read_is_spelled(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    streams = Stream(terminal=terminal), Stream(terminal=False)
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setattr(sys, "argv", ["nbp", "help", "money"])
    with pytest.raises(SystemExit):
        entry.main()
    for stream in streams:
        stream.seek(0)
        stream.truncate()
        stream.write("… é")
        stream.flush()
    shown = [stream.buffer.getvalue() for stream in streams]  # type: ignore[attr-defined]
    assert shown == [b"... \\xe9" if terminal else b"\\u2026 \\xe9", b"... \\xe9"]
