"""What libraries and the system raise, said in our words, without a word of theirs."""

import errno
import socket
import ssl

import pytest

from nbp_async._base.errors import (
    BadHeadError,
    CertificateError,
    ConfigError,
    ConnectError,
    DisconnectedError,
    LocalLimitError,
    NbpError,
    NotSentError,
)
from nbp_async._base.http import HttpRequest
from nbp_async._transports.certificates import TrustSource, new_context
from nbp_async._transports.transport_errors import (
    RefusedAddressError,
    translated,
    truncated,
    unsendable,
)

KEY = "sk-very-secret"


def caused_by(cause: BaseException) -> Exception:
    """A library's error around it, which prints the key."""
    error = RuntimeError(f"Authorization: {KEY}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind", "says"),
    [
        (OSError(errno.ECONNREFUSED, "x"), ConnectError, "refused"),
        (OSError(errno.EHOSTUNREACH, "x"), ConnectError, "no route"),
        (OSError(errno.ENETUNREACH, "x"), ConnectError, "unreachable"),
        (OSError(errno.EMFILE, "x"), LocalLimitError, "this process"),
        (OSError(errno.ENFILE, "x"), LocalLimitError, "this machine"),
        (OSError(errno.ENOBUFS, "x"), LocalLimitError, "buffer"),
        (OSError(errno.ENOMEM, "x"), LocalLimitError, "memory"),
        (OSError(errno.EADDRNOTAVAIL, "x"), LocalLimitError, "port"),
        (socket.gaierror(socket.EAI_NONAME, "x"), ConnectError, "resolve"),
        (ssl.SSLCertVerificationError(1, "x"), CertificateError, "certificate"),
        (ssl.CertificateError("x"), CertificateError, "certificate"),
        (ssl.SSLError(1, "x"), ConnectError, "no connection"),
        (PermissionError("that is private"), RefusedAddressError, "that is private"),
        (PermissionError(errno.EACCES, "x"), ConnectError, "permission denied"),
        (TimeoutError(), ConnectError, "no connection"),
        (ValueError(KEY), ConnectError, "no connection"),
    ],
    ids=repr,
)
def test_what_was_not_sent_says_why(cause: BaseException, kind: type[NbpError], says: str) -> None:
    group = ExceptionGroup("several addresses", [OSError("x"), caused_by(cause)])
    for exc in (cause, caused_by(cause), caused_by(caused_by(cause)), caused_by(group)):
        error = translated(exc, sent=False, vendor="shop", unread=False)
        assert type(error) is kind
        assert says in str(error)
        assert "shop" in str(error)
        assert KEY not in str(error)
        assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ECONNRESET, errno.EPIPE])
def test_what_was_sent_is_lost_whatever_the_reason(number: int) -> None:
    error = translated(OSError(number, KEY), sent=True, vendor="shop", unread=False)
    assert type(error) is DisconnectedError
    assert KEY not in str(error)


def test_a_head_that_cannot_be_read_is_one_only_if_a_request_was_sent() -> None:
    exc = ValueError(KEY)
    assert type(translated(exc, sent=True, vendor="shop", unread=True)) is BadHeadError
    assert type(translated(exc, sent=False, vendor="shop", unread=True)) is ConnectError


def test_errors_that_point_at_each_other_come_to_an_end() -> None:
    one, other = ValueError(), ValueError()
    one.__context__, other.__context__ = other, one
    assert str(translated(one, sent=False, vendor="shop", unread=False))


def test_a_body_that_was_cut_says_so_and_no_more() -> None:
    error = truncated(caused_by(OSError(errno.ECONNRESET, KEY)), "shop")
    assert "reset" in str(error)
    assert KEY not in str(error)


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\x00b", "a\x7f"])
def test_a_control_character_in_a_header_is_named_without_its_value(value: str) -> None:
    error = unsendable(HttpRequest("POST", "http://x", {"X-Name": KEY + value}), "shop")
    assert isinstance(error, NotSentError)
    assert "X-Name" in str(error)
    assert KEY not in str(error)


def test_ordinary_headers_can_be_sent() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "X-Text": "tabs\tand ümlauts"}
    assert unsendable(HttpRequest("POST", "http://x", headers), "shop") is None


def test_a_file_of_authorities_that_is_not_there_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.pem"):
        new_context(TrustSource(path="/nowhere.pem", origin="ca"))
