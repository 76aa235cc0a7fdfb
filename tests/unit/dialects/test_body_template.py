"""A request's JSON with large references in it: the same text as ever, written in slices."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import ConfigError
from nbp_async._dialects.body_template import Base64, encode_json

SLICE = 384 * 1024


@given(
    st.lists(st.binary(max_size=100) | st.text(max_size=50), max_size=8),
    st.text('\0\\"\x01\u2028a', max_size=20),
)
@settings(max_examples=200)
def test_references_stand_where_they_belong(values: list[Any], text: str) -> None:
    """Zero bytes in the words around them are no places for references."""
    body = {text: [Base64(v) if isinstance(v, bytes) else v for v in values], "after": text}
    plain = [base64.b64encode(v).decode() if isinstance(v, bytes) else v for v in values]
    assert json.loads(encode_json(body)) == {text: plain, "after": text}


@pytest.mark.parametrize("size", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 2])
def test_slices_leave_no_seam(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    written = encode_json({"url": Base64(data[:size], "data:image/png;base64,")})
    encoded = base64.b64encode(data[:size])
    assert written == b'{"url":"data:image/png;base64,' + encoded + b'"}'


@pytest.mark.parametrize("value", [object(), {1: 2, "a": 3}.items(), 1j, lambda: 0])
def test_what_json_has_no_form_for_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="Nothing was sent"):
        encode_json({"a": Base64(b"b"), "extra": value})
