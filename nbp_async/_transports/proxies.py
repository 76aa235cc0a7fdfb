"""Which proxy a request goes by, if any: what an option or the environment names. Pure.

A name and a password for a proxy are part of its address, and nothing here shows them.
"""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from nbp_async._base.errors import ConfigError, ProxyRefusedError
from nbp_async._base.secret import Secret
from nbp_async._vendors.profiles import is_loopback

_OPTION = "proxy"
_FORM = "an address such as 'http://proxy.example:3128'"
_ESCAPE = "In a name or password, write @ as %40, : as %3A, / as %2F and # as %23."
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


class ProxyAddress:
    """Where a proxy is, and the credentials for it. Its str and repr do not show these.

    Attributes:
        url: Scheme, host and port, as "http://proxy.example:3128".
        origin: Which option or variable named it.
        authorization: The value of the header that carries the credentials, or None.
    """

    __slots__ = ("authorization", "origin", "url")

    def __init__(self, address: str, origin: str) -> None:
        """Read an address; without a scheme it is http.

        Raises:
            ConfigError: It is not the address of a proxy, or of a kind that is not supported.
        """
        whole = address.strip()
        whole = whole if "://" in whole else f"http://{whole}"
        self.origin = origin
        try:
            parts = urlsplit(whole)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
            host = (parts.hostname or "").encode("idna").decode("ascii")
            name, password = unquote(parts.username or ""), unquote(parts.password or "")
            credentials = f"{name}:{password}".encode()
        except ValueError:
            raise self._error(f"give {_FORM}. {_ESCAPE}") from None
        if parts.scheme not in ("http", "https"):
            kind = parts.scheme if parts.scheme.isalnum() else "such"
            raise self._error(f"{kind}:// proxies are not supported: give {_FORM}.")
        extra = parts.path not in ("", "/") or parts.query or parts.fragment
        if not host or extra or not whole.isprintable():
            raise self._error(f"give {_FORM}. {_ESCAPE}")
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{parts.scheme}://{shown}:{port}"
        self.authorization: Secret | None = None
        if parts.username is not None:
            self.authorization = Secret(f"Basic {b64encode(credentials).decode()}", origin)

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy itself is told."""
        secret = self.authorization
        return {} if secret is None else {"Proxy-Authorization": secret.reveal()}

    def __str__(self) -> str:
        return self.url.removeprefix("http://")

    def __repr__(self) -> str:
        return f"{self.url!r}{' with credentials' if self.authorization else ''}"

    def _error(self, text: str) -> ConfigError:
        if self.origin == _OPTION:
            return ConfigError(text, option=_OPTION)
        return ConfigError(f"{self.origin} names a proxy that cannot be used: {text}")


def read_proxy(given: object, name: str) -> ProxyAddress:
    """The value of the option `proxy`."""
    return given if isinstance(given, ProxyAddress) else ProxyAddress(str(given), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies for addresses with http and https, and the hosts that are reached without them.

    Attributes:
        http: For plain http, or None.
        https: For https, or None.
        direct: What NO_PROXY names.
        spare_loopback: This machine itself is reached without them.
    """

    http: ProxyAddress | None = None
    https: ProxyAddress | None = None
    direct: tuple[str, ...] = ()
    spare_loopback: bool = False

    def find(self, url: str) -> ProxyAddress | None:
        """The proxy for this address, or None."""
        if self.http is self.https is None:
            return None
        parts = urlsplit(url)
        found = self.https if parts.scheme == "https" else self.http
        if found is None or (self.spare_loopback and is_loopback(parts.netloc)):
            return None
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return None if any(_names(entry, host, port) for entry in self.direct) else found


DIRECT = Proxies()


def choose_proxies(proxy: ProxyAddress | None, environ: Mapping[str, str] | None) -> Proxies:
    """The proxies of a client.

    Args:
        proxy: For everything, but for what NO_PROXY names; None for those of the environment.
        environ: Environment variables, or None if they do not count.

    Raises:
        ConfigError: A variable names a proxy that cannot be used.
    """
    if environ is None:
        return Proxies(http=proxy, https=proxy)
    direct = re.split(r"[,\s]+", _first(environ, "no_proxy")[1].lower())
    return Proxies(
        http=proxy or _from_environment(environ, "http_proxy"),
        https=proxy or _from_environment(environ, "https_proxy"),
        direct=tuple(filter(None, direct)),
        spare_loopback=proxy is None,
    )


def _from_environment(environ: Mapping[str, str], name: str) -> ProxyAddress | None:
    origin, address = _first(environ, name, "all_proxy")
    return ProxyAddress(address, origin) if address else None


def _first(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    """The first of these variables that is set, in small letters before capitals; or "", ""."""
    for name in (spelled for small in names for spelled in (small, small.upper())):
        # In a CGI script HTTP_PROXY is a header of the request, which anybody can send.
        is_header = name == "HTTP_PROXY" and "REQUEST_METHOD" in environ
        if value := environ.get(name, "").strip() if not is_header else "":
            return name, value
    return "", ""


def _names(entry: str, host: str, port: int | None) -> bool:
    """An entry of NO_PROXY names this host: `*`, a domain, an address or a network."""
    if entry == "*":
        return True
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").removeprefix(".")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except (ValueError, TypeError):
        return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def refused_by_proxy(
    proxy: ProxyAddress, status: int, headers: Mapping[str, str], *, vendor: str, url: str
) -> ProxyRefusedError:
    """The proxy did not let a request out; says what it answered, and what to do.

    Args:
        proxy: Who refused.
        status: Its HTTP status.
        headers: What it answered, by any spelling of their names.
        vendor: What messages call the other side.
        url: Where the request was to go.
    """
    challenge, host = headers.get("Proxy-Authenticate", ""), urlsplit(url).netloc
    error = ProxyRefusedError(
        f"{vendor}: the proxy {proxy} did not connect to {host}: it answered HTTP {status}.",
        hint=_advice(proxy, status, challenge, host),
    )
    error.status, error.is_transient = status, status in _TRANSIENT
    return error


def _advice(proxy: ProxyAddress, status: int, challenge: str, host: str) -> str:
    if status == 407:
        if challenge and "basic" not in challenge.lower():
            kind = re.sub(r"[^A-Za-z].*", "", challenge) or "another kind"
            return (
                f"It wants {kind} authentication, which is not supported: run a local proxy that "
                "speaks it, and name that one."
            )
        if proxy.authorization is None:
            return "It wants a name and a password: http://name:password@host:port."
        return f"It refused the name or the password of {proxy.origin}. {_ESCAPE}"
    if status == 403:
        return f"Its rules do not allow {host}: ask those who run it."
    if status in _TRANSIENT:
        return f"It cannot reach {host} now, or no such host is known to it."
    return "Is it an HTTP proxy, and is CONNECT to this port allowed?"
