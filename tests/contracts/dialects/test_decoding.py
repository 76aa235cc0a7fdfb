"""An answer means the same in any pieces, and a part of one is never a success."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import MalformedReplyError, NbpError, NoImageError
from tests.contracts.dialects.kit import LINK, SUBJECTS, Subject, decode, feed

TEXTS = ["QUJD/+=" * 5, "REVG"]
STEPS = (None, 1, 2, 3, 7, 64)


def test_images_come_as_text_in_their_order(subject: Subject) -> None:
    if not subject.takes_images:
        pytest.skip("this service gives links alone")
    for step in STEPS:
        received = decode(subject.open_decoder(), subject.body(TEXTS), step)
        assert received.answer is not None
        wanted = [subject.before_image + text for text in TEXTS]
        assert [received.texts[n].decode() for n in received.answer.images] == wanted
        assert received.ended == list(received.answer.images)
        assert received.answer.links == ()


def test_links_come_in_their_order_and_are_no_images(subject: Subject) -> None:
    if not subject.takes_links:
        pytest.skip("this vendor gives images alone")
    links = [LINK.uri, "https://x.example/b.png?a=1&b=%2F"]
    for step in STEPS:
        received = decode(subject.open_decoder(), subject.body([], links), step)
        assert received.answer is not None
        assert received.answer.links == tuple(links)
        assert (received.answer.images, received.texts, received.ended) == ((), {}, [])


def test_a_data_url_in_the_place_of_a_link_is_an_image(subject: Subject) -> None:
    if not subject.reads_data_urls:
        pytest.skip("this vendor writes its links into other text")
    url = "data:image/png;base64,QUJD"
    for step in STEPS:
        received = decode(subject.open_decoder(), subject.body([], [url]), step)
        assert received.answer is not None
        assert (received.answer.links, len(received.answer.images)) == ((), 1)
        assert received.texts[received.answer.images[0]].decode() == url


def test_usage_and_request_id_are_read(subject: Subject) -> None:
    answer = decode(subject.open_decoder(), subject.any_body()).answer
    assert answer is not None
    assert answer.usage == subject.usage
    assert answer.request_id == subject.request_id
    assert answer.handle is None


def bodies(subject: Subject) -> Iterator[bytes]:
    yield subject.any_body()
    yield subject.body([], [LINK.uri])
    yield subject.body()


def test_cut_at_every_place_it_is_no_success(subject: Subject) -> None:
    for body in bodies(subject):
        for length in range(len(body)):
            for step in (None, 5):
                decoder = subject.open_decoder()
                with pytest.raises(MalformedReplyError):
                    decode(decoder, body[:length], step)


def test_it_is_complete_with_its_last_byte_and_not_before(subject: Subject) -> None:
    body = subject.any_body()
    decoder = subject.open_decoder()
    for place in range(len(body)):
        assert not decoder.complete
        feed(decoder, body[place : place + 1])
    assert decoder.complete
    feed(decoder, b" \r\n\t")
    assert decoder.complete
    decoder.close()


@pytest.mark.parametrize("more", [b"x", b"}", b"]", b"</html>", b'"', b'<a href="'])
def test_more_after_its_end_costs_no_image_and_is_noted(subject: Subject, more: bytes) -> None:
    body = subject.any_body()
    alone = decode(subject.open_decoder(), body).answer
    assert alone is not None
    assert alone.notes == ()
    for step in (None, 1):
        answer = decode(subject.open_decoder(), body + more, step).answer
        assert answer is not None
        assert answer.notes == ("the response went on after its end",)
        assert (answer.images, answer.links) == (alone.images, alone.links)


@pytest.mark.parametrize("spoil", [b',"x":NaN}', b',"x":"\xff"}', b',"x":"\\ud800"}', b",}"])
def test_a_sound_image_beside_broken_json_is_delivered_with_a_note(
    subject: Subject, spoil: bytes
) -> None:
    body = subject.any_body()
    alone = decode(subject.open_decoder(), body)
    for step in (None, 1):
        received = decode(subject.open_decoder(), body.rstrip()[:-1] + spoil, step)
        assert received.texts == alone.texts
        assert received.answer is not None
        assert alone.answer is not None
        (note,) = received.answer.notes
        assert "repaired" in note
        assert received.answer.images == alone.answer.images


def test_an_event_stream_that_nobody_asked_for_is_read(subject: Subject) -> None:
    body = b"".join(subject.any_body().split(b"\n"))
    alone = decode(subject.open_decoder(), body)
    stream = b": ping\n\nevent: image\r\nid: 7\ndata: " + body + b"\n\n: ping\n\ndata: [DONE]\n\n"
    for step in STEPS:
        received = decode(subject.open_decoder(), stream, step)
        assert (received.texts, received.answer) == (alone.texts, alone.answer)


def test_a_success_without_an_image_says_so_with_what_it_cost(subject: Subject) -> None:
    with pytest.raises(NoImageError) as caught:
        decode(subject.open_decoder(), subject.body())
    assert caught.value.reason
    assert caught.value.usage == subject.usage


def test_decoders_of_one_dialect_share_nothing(subject: Subject) -> None:
    body = subject.any_body()
    alone = decode(subject.open_decoder(), body)
    one, other = subject.open_decoder(), subject.open_decoder()
    half = len(body) // 2
    feed(one, body[:half])
    assert decode(other, body) == alone
    feed(one, body[half:])
    assert one.close() == alone.answer


@pytest.mark.parametrize("body", [b"", b"  \n", b"<html>502</html>", b"null", b'"x"', b"\xff\xfe"])
def test_what_is_not_an_answer_is_no_success(subject: Subject, body: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        decode(subject.open_decoder(), body)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    {
                        "status",
                        "state",
                        "data",
                        "task_id",
                        "id",
                        "result",
                        "url",
                        "error",
                        "urls",
                        "code",
                        "output",
                        "results",
                        "resultJson",
                        "candidates",
                        "content",
                        "parts",
                        "inlineData",
                        "text",
                        "b64_json",
                        "usage",
                        "usageMetadata",
                        "images",
                        "steps",
                    }
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(json_values, st.sampled_from(SUBJECTS), st.integers(1, 50))
@settings(max_examples=300)
def test_whatever_comes_is_an_answer_or_one_of_our_errors(
    document: Any, subject: Subject, step: int
) -> None:
    body = json.dumps(document).encode()
    try:
        received = decode(subject.open_decoder(), body, step)
    except NbpError:
        return
    answer = received.answer
    assert answer is not None
    assert answer.images or answer.links or answer.handle is not None
    assert set(answer.images) <= set(received.ended)
