"""Checks of the endpoint for `nbp doctor`: its name, its certificate, and the key.

They request the list of models, which costs nothing at any vendor.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from nbp_async import ClientOptions, Profile, Secret
from nbp_async.cli.machine_checks import CheckResult, State, clock
from nbp_async.display.formats import plural, printable

_TIMEOUT = 10.0  # seconds for each step
_DAY = 86400.0
_EXPIRES_SOON = 14  # days
_MOST_BYTES = 65_536  # of a response that are read
_PATHS = {"openrouter.ai": "/key"}  # its list of models asks for no key
_NETWORK_ERRORS = (OSError, TimeoutError, aiohttp.ClientError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class ModelsResponse:
    """The response to a request for the list of models; `date` is in seconds since 1970."""

    status: int
    text: str
    date: float | None


async def check_endpoint(
    profile: Profile, key: Secret | None, options: ClientOptions
) -> AsyncIterator[CheckResult]:
    """Take the steps of a call one by one; those after a failed step are skipped.

    By a proxy, its name is looked up, and the rest shows in the answer to a request.
    """
    network = options.network
    proxy = network.proxy_for(profile.base_url)
    parts = urlsplit(profile.base_url if proxy is None else proxy.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    name = await dns(host, port)
    yield name
    secure = None
    if name.state == "ok" and proxy is not None:
        secure = CheckResult(name="TLS", state="skipped", message=f"not checked apart: by {proxy}")
        yield secure
    elif name.state == "ok":
        context = options.tls_context() if parts.scheme == "https" else None
        secure = no_tls_result(profile) if context is None else await tls(host, port, context)
        yield secure
    if secure is None or secure.state == "bad":
        why = "the endpoint cannot be reached"
        for skipped in (*(["TLS"] if secure is None else []), "key accepted", "clock"):
            yield CheckResult(name=skipped, state="skipped", message=f"not checked: {why}")
        return
    try:
        response = await _get_models(profile, key, options)
    except _NETWORK_ERRORS as exc:
        yield CheckResult(
            name="response",
            state="bad",
            message=f"{profile.host} did not answer: {_error_text(exc)}",
            fix="Check the address: is it an images API?",
        )
        return
    yield key_result(profile, key, response)
    yield clock(response.date, time.time())


async def ask_about_key(profile: Profile, key: Secret, options: ClientOptions) -> CheckResult:
    """Whether the endpoint accepts the key; "skipped" if unknown."""
    try:
        return key_result(profile, key, await _get_models(profile, key, options))
    except _NETWORK_ERRORS as exc:
        message = f"{profile.host} did not answer: {_error_text(exc)}"
        return CheckResult(name="key accepted", state="skipped", message=message)


async def dns(host: str, port: int) -> CheckResult:
    """Whether the host name has addresses."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        async with asyncio.timeout(_TIMEOUT):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as exc:
        return CheckResult(
            name="DNS",
            state="bad",
            message=f"{host} has no address: {_error_text(exc)}",
            fix="Check that this machine is online, and the name. Try another resolver.",
        )
    took = (loop.time() - start) * 1000
    addresses = len({entry[4][0] for entry in found})
    message = f"{host}: {addresses} address{'es' if addresses > 1 else ''} in {took:.0f} ms"
    return CheckResult(name="DNS", state="ok", message=message)


async def tls(host: str, port: int, context: ssl.SSLContext) -> CheckResult:
    """Whether the host accepts a connection, with a valid certificate."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as exc:
        return CheckResult(
            name="TLS",
            state="bad",
            message=f"the certificate of {host} is invalid: {_error_text(exc)}",
            fix="Behind a company's proxy, name its CA file in SSL_CERT_FILE; else check the "
            "address and this machine's clock.",
        )
    except (OSError, TimeoutError) as exc:
        return CheckResult(
            name="TLS",
            state="bad",
            message=f"{host}:{port} accepts no connection: {_error_text(exc)}",
            fix="Check the address. A firewall may require a proxy.",
        )
    took = (loop.time() - start) * 1000
    secure: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
    ends = ssl.cert_time_to_seconds(str((secure.getpeercert() or {}).get("notAfter", "")))
    days = int((ends - time.time()) // _DAY)
    message = f"{secure.version()} in {took:.0f} ms, certificate valid for {plural(days, 'day')}"
    return CheckResult(name="TLS", state="warn" if days < _EXPIRES_SOON else "ok", message=message)


def no_tls_result(profile: Profile) -> CheckResult:
    """An address without TLS."""
    if profile.is_local:
        return CheckResult(name="TLS", state="ok", message="none; not needed on this machine")
    return CheckResult(
        name="TLS",
        state="warn",
        message=f"none: {profile.base_url} is plain http: others on the way can read the key",
        fix="Use an https address if the vendor has one.",
    )


async def _get_models(
    profile: Profile, key: Secret | None, options: ClientOptions
) -> ModelsResponse:
    headers = options.added_headers | ({} if key is None else profile.key_header(key.reveal()))
    url = f"{profile.base_url}{_PATHS.get(profile.host, '/models')}"
    network = options.network
    limit = aiohttp.ClientTimeout(total=_TIMEOUT)
    # As paid calls do: by the same proxy, and by no redirect that takes the key along.
    routed: dict[str, Any] = {"headers": headers, "allow_redirects": False}
    if url.startswith("https:"):
        routed["ssl"] = options.tls_context()
    if (proxy := network.proxy_for(url)) is not None:
        routed |= {"proxy": proxy.url, "proxy_headers": proxy.headers}
        if url.startswith("http:"):
            headers |= proxy.headers
    async with (
        aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
        session.get(url, **routed) as reply,
    ):
        text = (await reply.content.read(_MOST_BYTES)).decode("utf-8", "replace")
        try:
            date = parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
        except ValueError:
            date = None
        return ModelsResponse(reply.status, text, date)


def key_result(profile: Profile, key: Secret | None, response: ModelsResponse) -> CheckResult:
    """What the response says about the key."""
    name = "key accepted"
    if key is None:
        message = f"{profile.host} answers ({response.status}); no key was sent"
        return CheckResult(name=name, state="skipped", message=message)
    refused = response.status in (401, 403) or (
        response.status == 400 and "API_KEY_INVALID" in response.text
    )
    if refused:
        return CheckResult(
            name=name,
            state="bad",
            message=f"{profile.host} refused {key} from {key.origin} ({response.status})",
            fix="Is it another vendor's key? Name the endpoint in NBP_ENDPOINT or NBP_BASE_URL, or "
            "store the right key with `nbp auth set`.",
        )
    if response.status == 200:
        return CheckResult(name=name, state="ok", message=f"by {profile.host}, at no cost")
    state: State = "warn" if response.status >= 500 else "skipped"
    message = f"unknown: {profile.host} answered {response.status} for its list of models"
    return CheckResult(name=name, state=state, message=message)


def _error_text(exc: BaseException) -> str:
    """A network error in words; a timeout has no text of its own."""
    if isinstance(exc, TimeoutError) and not exc.args:
        return f"no response in {_TIMEOUT:.0f} s"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return exc.verify_message
    return printable(getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)
