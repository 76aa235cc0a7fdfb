"""Logs of HTTP libraries have no headers of ours in them."""

import logging

import pytest

from nbp_async._transports.header_logs import unlogged_headers


def test_only_what_has_headers_of_ours_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    http, table = logging.getLogger("httpcore.http11"), logging.getLogger("hpack.table")
    with unlogged_headers():
        http.debug("receive_response_headers.complete return_value=[...]")
        http.debug("send_request_headers.started request=<Request>")
        table.debug("Evicting authorization")
    http.debug("receive_response_headers.complete of others")
    assert [record.getMessage() for record in caplog.records] == [
        "send_request_headers.started request=<Request>",
        "receive_response_headers.complete of others",
    ]
