"""Base64 is decoded strictly, in whatever pieces and dress it comes."""

import base64
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import MalformedReplyError
from nbp_async._images.base64_stream import Base64Stream


def decode(pieces: list[bytes]) -> bytes:
    stream = Base64Stream()
    return b"".join([stream.feed(piece) for piece in pieces] + [stream.close()])


dresses = st.sampled_from(
    [
        lambda text: text,
        lambda text: b"data:image/png;base64," + text,
        lambda text: b"DATA:image/webp;charset=x;BASE64," + text,
        lambda text: b" \r\n data:image/png;base64,\n" + text,
        lambda text: text.rstrip(b"="),
        lambda text: text.translate(bytes.maketrans(b"+/", b"-_")),
        lambda text: b"\r\n".join(text[i : i + 76] for i in range(0, len(text), 76)) + b"\n",
        lambda text: b"  " + text + b"\n\n",
    ]
)


@given(st.binary(max_size=400), dresses, st.data())
@settings(max_examples=400)
def test_any_dress_in_any_pieces_gives_the_bytes(content: bytes, dress: Any, data: Any) -> None:
    text = dress(base64.b64encode(content))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *cuts, len(text)]
    assert decode([text[a:b] for a, b in pairwise(edges)]) == content
    assert decode([bytes([b]) for b in text]) == content


@given(st.integers(0, 40_000), st.randoms(use_true_random=False), dresses, st.data())
@settings(max_examples=200)
def test_large_pieces_give_the_bytes_too(size: int, rng: Any, dress: Any, data: Any) -> None:
    content = rng.randbytes(size)
    text = dress(base64.b64encode(content))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    assert decode([text[a:b] for a, b in pairwise(edges)]) == content


@pytest.mark.parametrize("wrong", [b"!", b"=", b"\x00", "é".encode()])
@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4, 5, 5000, 9999, 10_000])
def test_one_wrong_sign_in_large_pieces_is_refused(wrong: bytes, cut: int) -> None:
    text = base64.b64encode(bytes(range(250)) * 60)
    for place in (0, 1, 2, 3, 4, 4999, 5000, 9998, 9999, 10_000, 15_000):
        broken = text[:place] + wrong + text[place + len(wrong) :]
        with pytest.raises(MalformedReplyError):
            decode([broken[:cut], broken[cut : cut + 5000], broken[cut + 5000 :]])


@pytest.mark.parametrize(
    "text",
    [
        b"QUJD!UJD",
        b"QUJ\x00",
        b"QUJDR",
        b"QQ==QUJD",
        b"QQ==Q",
        b"QQ==QQ",
        b"QQ==QUI",
        b"====",
        b"=QUJ",
        b"Q=JD",
        b"data:image/png,QUJD",
        b"data:" + b"x" * 300,
        "QUJé".encode(),
    ],
)
def test_anything_else_is_refused_wherever_it_is_cut(text: bytes) -> None:
    for cut in range(len(text) + 1):
        with pytest.raises(MalformedReplyError):
            decode([text[:cut], text[cut:]])


def test_a_prefix_without_an_end_is_not_waited_for() -> None:
    stream = Base64Stream()
    stream.feed(b"data:image/png;")
    with pytest.raises(MalformedReplyError):
        stream.feed(b"x" * 300)


def test_nothing_is_nothing() -> None:
    assert decode([]) == decode([b"", b""]) == b""
