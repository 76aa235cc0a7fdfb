"""Headers that a gateway before the API wants: checked once, never shown, sent to one host."""

import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import msgspec

from nbp_async._base.errors import ConfigError
from nbp_async._base.http import HttpRequest
from nbp_async._transports.base import Reply, Transport
from nbp_async._transports.stage_timer import StageTimer

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OURS = {
    "authorization": "the key goes there: pass api_key",
    "x-goog-api-key": "the key goes there: pass api_key",
    "proxy-authorization": "put the name and password into the address of the proxy",
}
_FRAMING = ("connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding")
_OF_EACH_REQUEST = {*_FRAMING, "accept", "accept-encoding", "content-type", "idempotency-key"}


class ExtraHeaders:
    """Headers for each request to the API. Its repr shows their names alone."""

    __slots__ = ("__values",)

    def __init__(self, given: Mapping[str, str]) -> None:
        """Check them.

        Raises:
            ConfigError: One cannot be sent, is given twice, or is set by each request itself.
        """
        seen: set[str] = set()
        for name, value in given.items():
            reason = _problem(name, value, seen)
            if reason:
                raise ConfigError(f"cannot add the header {name!r}: {reason}.", option="headers")
            seen.add(name.lower())
        self.__values = dict(given)

    def reveal(self) -> dict[str, str]:
        """The headers themselves, for the requests that carry them."""
        return dict(self.__values)

    def __repr__(self) -> str:
        return f"ExtraHeaders({', '.join(self.__values)})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("Headers may hold secrets, and are not pickled.")


def read_headers(given: object, _: str) -> ExtraHeaders:
    """The value of the option `headers`."""
    if isinstance(given, ExtraHeaders):
        return given
    assert isinstance(given, Mapping), "the type of the option was checked"
    return ExtraHeaders(given)


class HeaderTransport:
    """Adds headers to the requests to one origin; see `base.Transport`.

    Args:
        inner: Carries the requests.
        headers: What is added.
        origin: Scheme, host and port that get them, as "https://gateway.example".
    """

    def __init__(self, inner: Transport, headers: Mapping[str, str], origin: str) -> None:
        self._inner = inner
        self._headers = dict(headers)
        self._base = f"{origin}/"

    def send(self, request: HttpRequest, timer: StageTimer) -> AbstractAsyncContextManager[Reply]:
        if request.url.startswith(self._base):
            headers = request.headers | self._headers
            request = msgspec.structs.replace(request, headers=headers)
        return self._inner.send(request, timer)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _problem(name: str, value: str, seen: set[str]) -> str:
    if not _NAME.fullmatch(name):
        return "its name is not one"
    if name.lower() in seen:
        return "it is there twice"
    if name.lower() in _OURS:
        return _OURS[name.lower()]
    if name.lower() in _OF_EACH_REQUEST:
        return "each request has its own"
    if not _VALUE.fullmatch(value):
        return "its value has characters other than printable ASCII"
    return "" if value == value.strip() else "its value begins or ends with a space"
