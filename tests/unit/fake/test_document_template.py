"""Documents of the task services: values, conditions, lists, JSON in a text, and images."""

import json
from typing import Any

import pytest

from nbp_async.fake.tasks.document_template import DocumentFiller, Streamed

IMAGE = Streamed([b'"iV', b'BO"'])
VALUES: dict[str, object] = {
    "id": "t-7",
    "progress": 50,
    "null": None,
    "done": True,
    "failed": False,
    "links": ["a", "b"],
    "none": [],
    "image": IMAGE,
    "images": [Streamed([b'"1"']), Streamed([b'"2"'])],
    "request": {"input": {"prompt": "a cat"}, "uris": ["first", "second"]},
}
PARTS = {"record": {"id": "{id}"}, "address": "http://host/{id}"}


def filler() -> DocumentFiller:
    return DocumentFiller(PARTS, VALUES, frozenset({"image", "images", "links"}))


def filled(template: Any) -> Any:
    return json.loads(b"".join(filler().payload(template).pieces))


@pytest.mark.parametrize(
    ("template", "document"),
    [
        ("{progress}", 50),
        ("{progress}%", "50%"),
        ("{null}", None),
        ("{request.input}", {"prompt": "a cat"}),
        ("{request.uris.1}", "second"),
        ("{request.uris.2}", None),
        ("{request.input.size}", None),
        ({"code": 200, "data": {"id": "{id}"}}, {"code": 200, "data": {"id": "t-7"}}),
        ({"data": "{record}"}, {"data": {"id": "t-7"}}),
        ({"url": "{address}/cancel"}, {"url": "http://host/t-7/cancel"}),
        ({"text": {"json": {"urls": "{links}"}}}, {"text": '{"urls":["a","b"]}'}),
    ],
)
def test_values_keep_their_type(template: Any, document: Any) -> None:
    assert filled(template) == document


def test_conditions_merge_their_table_or_part_and_later_ones_win() -> None:
    template = {
        "status": "ERROR",
        "if done": {"status": "OK", "error": "{null}"},
        "if failed": {"error": "no"},
        "unless failed": "record",
    }
    assert filled(template) == {"status": "OK", "error": None, "id": "t-7"}


def test_a_list_has_one_table_for_each_item() -> None:
    content = [
        {"each": "links", "url": "{item}"},
        {"each": "none", "never": "{item}"},
        {"each": "images", "data": "{item}"},
    ]
    assert filled(content) == [{"url": "a"}, {"url": "b"}, {"data": "1"}, {"data": "2"}]


def test_images_are_put_in_without_being_copied() -> None:
    pieces = filler().payload({"a": "{image}", "b": "{image}"}).pieces
    assert sum(piece is IMAGE.pieces[0] for piece in pieces) == 2
    assert b"".join(pieces) == b'{"a":"iVBO","b":"iVBO"}'


@pytest.mark.parametrize(
    ("template", "has_images"),
    [
        ({"id": "{id}"}, False),
        ({"if images": {"id": "{id}"}}, False),
        ({"data": "{image}"}, True),
        ([{"each": "links", "url": "{item}"}], True),
    ],
)
def test_a_document_knows_whether_images_are_in_it(template: Any, has_images: bool) -> None:
    document = filler()
    document.payload(template)
    assert document.has_images is has_images
