"""Undocumented parts of aiohttp and asyncio: each is where we expect it, and takes what we pass.

A failure here means that a release moved a part. The message says what it is for and what to do;
all uses are in `nbp_async/_transports/aiohttp_internals.py`.
"""

import asyncio
import inspect
import ssl
from asyncio import selector_events, sslproto
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import client, http_exceptions, http_writer, payload
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from nbp_async._transports.aiohttp_internals import (
    Body,
    LenientHandler,
    ObservedRequest,
    be_lenient,
)


class Called(NamedTuple):
    """A function and the arguments that are passed to it by name or place, without `self`."""

    owner: type
    name: str
    arguments: tuple[str, ...]
    advice: str


CALLED = [
    Called(
        aiohttp.ClientRequest,
        "send",
        ("conn",),
        "Its call is the proof that bytes may have left. Find the method that aiohttp awaits "
        "between the connection and the first write, and override that one in ObservedRequest.",
    ),
    Called(
        aiohttp.ClientResponse,
        "__init__",
        (
            "method",
            "url",
            "writer",
            "continue100",
            "timer",
            "request_info",
            "traces",
            "loop",
            "session",
            "stream_writer",
        ),
        "ObservedRequest._send_at_once builds a response as ClientRequest.send does. Copy the new "
        "arguments from there; or delete _send_at_once: small bodies then cost a task each.",
    ),
    Called(
        http_writer.StreamWriter,
        "__init__",
        ("protocol", "loop"),
        "_send_at_once writes with it. Copy from ClientRequest.send, or delete _send_at_once.",
    ),
    Called(
        http_writer.StreamWriter,
        "write_headers",
        ("status_line", "headers"),
        "_send_at_once writes the head with it. Copy from ClientRequest.send, or delete "
        "_send_at_once.",
    ),
    Called(
        http_writer.StreamWriter,
        "write",
        ("chunk", "drain"),
        "Writes head and body at once, without waiting. Copy from Payload.write_with_length.",
    ),
    Called(
        payload.Payload,
        "write",
        ("writer",),
        "Body overrides it to learn when the socket has taken all of an upload.",
    ),
    Called(
        aiohttp.StreamReader,
        "set_read_chunk_size",
        ("n",),
        "Lets one read return more than 128 KiB. Without it large bodies stop the socket for each "
        "chunk: slower, and still right. Drop read_larger_chunks if nothing replaces it.",
    ),
    Called(
        aiohttp.StreamReader,
        "exception",
        (),
        "Tells a body that ended from one that broke. Without it a cut body may pass as whole: "
        "find what replaces it before anything else.",
    ),
    Called(
        aiohttp.StreamReader,
        "at_eof",
        (),
        "Tells a body that ended from one that goes on. Find what replaces it.",
    ),
    Called(
        ResponseHandler,
        "should_close",
        (),
        "Says that a reused connection holds bytes that nobody asked for. Without it they would "
        "be taken for our reply: find what replaces it, or refuse reuse_connections.",
    ),
    Called(
        ResponseHandler,
        "__init__",
        ("loop",),
        "be_lenient makes the connections' protocols. See how TCPConnector makes its _factory.",
    ),
    Called(
        ResponseHandler,
        "data_received",
        ("data",),
        "LenientHandler puts odd heads right before they are parsed. Find where bytes arrive now, "
        "or delete it and be_lenient: heads with two lengths are refused then.",
    ),
    Called(
        ResponseHandler,
        "connection_lost",
        ("exc",),
        "LenientHandler hands over what it holds of a head before the connection counts as lost.",
    ),
    Called(
        ResponseHandler,
        "force_close",
        (),
        "Keeps a connection whose framing was odd from being used again.",
    ),
    Called(
        Connection,
        "protocol",
        (),
        "check_unused asks it. Find where the connection keeps its ResponseHandler now.",
    ),
    Called(
        Connection,
        "transport",
        (),
        "receive_less and abort need asyncio's transport. Find where the connection keeps it now.",
    ),
    Called(
        sslproto._SSLProtocolTransport,
        "abort",
        (),
        "Closes a TLS connection without waiting for the peer.",
    ),
]


@pytest.mark.parametrize("part", CALLED, ids=lambda part: f"{part.owner.__name__}.{part.name}")
def test_a_function_is_there_and_takes_what_we_pass(part: Called) -> None:
    found = inspect.getattr_static(part.owner, part.name, None)
    assert found is not None, f"{part.owner.__name__}.{part.name} is gone. {part.advice}"
    if isinstance(found, property):
        return
    parameters = list(inspect.signature(found).parameters.values())[1:]
    missing = set(part.arguments) - {parameter.name for parameter in parameters}
    assert not missing, f"{part.name} does not take {missing} any more. {part.advice}"
    required = {
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    new = required - set(part.arguments)
    assert not new, f"{part.name} needs {new} as well. {part.advice}"


class Observer:
    session: aiohttp.ClientSession

    def connected(self, transport: asyncio.Transport | None) -> None: ...

    def accepted_body(self) -> None: ...


@pytest.mark.parametrize(
    "name",
    ["method", "url", "original_url", "headers", "body", "loop", "request_info", "_timer"],
)
async def test_a_request_has_the_attributes_that_a_send_needs(name: str) -> None:
    body = Body(b"{}", Observer())
    request = ObservedRequest(
        "POST", URL("http://x.example"), data=body, loop=asyncio.get_running_loop()
    )
    assert hasattr(request, name), (
        f"ClientRequest.{name} is gone. _send_at_once reads it as ClientRequest.send does: copy "
        "the new name from there, or delete _send_at_once."
    )
    assert request.body is body, "ObservedRequest finds its observer in the body that we passed."


def test_a_payload_asks_no_more_of_its_subclasses() -> None:
    advice = "See what a Payload must have now, and give it to Body."
    assert {"decode", "write"} == payload.Payload.__abstractmethods__, advice
    assert "_headers" in payload.Payload.__init__.__code__.co_names, advice
    assert Body(b"{}", Observer()).headers["Content-Type"] == "application/json", advice


def test_the_session_takes_our_request_class() -> None:
    parameters = inspect.signature(client.ClientSession.__init__).parameters
    assert "request_class" in parameters, (
        "ClientSession has no request_class any more: ObservedRequest has no way in. Do not ship "
        "without another proof that nothing was sent."
    )
    assert "read_bufsize" in parameters, "READ_BUFFER sets when a connection is stopped."


async def test_a_connector_makes_its_protocols_where_we_put_ours() -> None:
    connector = aiohttp.TCPConnector()
    assert isinstance(connector._factory(), ResponseHandler), (
        "TCPConnector._factory is not what makes a ResponseHandler. Find what does, and put "
        "LenientHandler there; or delete it and be_lenient."
    )
    be_lenient(connector)
    assert isinstance(connector._factory(), LenientHandler)
    await connector.close()


def test_the_errors_of_the_parser_in_python_have_one_base() -> None:
    base = http_exceptions.HttpProcessingError
    for name in ("BadHttpMessage", "BadStatusLine", "LineTooLong", "InvalidHeader"):
        assert issubclass(getattr(http_exceptions, name), base), (
            f"{name} is none of PARSER_ERRORS: a head that is not HTTP would be told as a "
            "connection that ended."
        )


async def test_asyncio_still_has_the_buffers_that_we_make_smaller() -> None:
    """Without them every held TLS connection costs 256 KiB, and nothing says so."""
    advice = "See how asyncio sizes its buffers now, and change receive_less."
    assert "max_size" in vars(selector_events)["_SelectorTransport"].__dict__, advice
    assert "_ssl_protocol" in sslproto._SSLProtocolTransport.__init__.__code__.co_names, advice
    loop = asyncio.get_running_loop()
    tls: Any = sslproto.SSLProtocol(
        loop, asyncio.Protocol(), ssl.create_default_context(), loop.create_future()
    )
    tls._app_transport.close()  # made with it; it complains when it is collected open
    assert tls.max_size == len(tls._ssl_buffer) == 256 * 1024, advice
    tls.max_size, tls._ssl_buffer = 1000, bytearray()
    assert len(tls.get_buffer(-1)) == 1000, f"An empty buffer is not replaced. {advice}"
