"""Whether the endpoint can be reached, and takes the key: its name, its certificate, its answer.

The list of models is asked for, which costs nothing anywhere.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from nbp_async import Profile
from nbp_async._config import Secret
from nbp_async._keys import is_loopback
from nbp_async._words import plural, printable
from nbp_async.cli.checks import Finding, State, clock

_PATIENCE = 10.0  # seconds for each step
_DAY = 86400.0
_SOON = 14  # days
_MOST = 65_536  # bytes of an answer that are looked at
_UNHEARD = (OSError, TimeoutError, aiohttp.ClientError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint said when it was asked for its models."""

    status: int
    text: str
    told: float | None


async def reach(profile: Profile, key: Secret | None) -> AsyncIterator[Finding]:
    """Go the way of a call, step by step; what cannot be known after a step that failed is said."""
    parts = urlsplit(profile.base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    name = await dns(host, port)
    yield name
    secure = None
    if name.state == "ok":
        secure = await tls(host, port) if parts.scheme == "https" else plain(profile)
        yield secure
    if secure is None or secure.state == "bad":
        why = "the endpoint cannot be reached"
        for skipped in (*(["TLS"] if secure is None else []), "key accepted", "clock"):
            yield Finding(name=skipped, state="skipped", says=f"not asked: {why}")
        return
    try:
        answer = await _ask(profile, key)
    except _UNHEARD as exc:
        yield Finding(
            name="answer",
            state="bad",
            says=f"{profile.host} gave no answer: {_words(exc)}",
            mend="Is the address right, and is it an images API?",
        )
        return
    yield accepted(profile, key, answer)
    yield clock(answer.told, time.time())


async def taken(profile: Profile, key: Secret) -> Finding:
    """Whether the endpoint takes the key; "skipped" where that is not to be known."""
    try:
        return accepted(profile, key, await _ask(profile, key))
    except _UNHEARD as exc:
        says = f"{profile.host} gave no answer: {_words(exc)}"
        return Finding(name="key accepted", state="skipped", says=says)


async def dns(host: str, port: int) -> Finding:
    """Whether the name has addresses."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        async with asyncio.timeout(_PATIENCE):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as exc:
        return Finding(
            name="DNS",
            state="bad",
            says=f"{host} has no address: {_words(exc)}",
            mend="Is this machine online, and the name right? Try another resolver.",
        )
    took = (loop.time() - start) * 1000
    addresses = len({entry[4][0] for entry in found})
    says = f"{host}: {addresses} address{'es' if addresses > 1 else ''} in {took:.0f} ms"
    return Finding(name="DNS", state="ok", says=says)


async def tls(host: str, port: int) -> Finding:
    """Whether a connection comes about, and the host can prove who it is."""
    loop = asyncio.get_running_loop()
    context = await asyncio.to_thread(ssl.create_default_context)
    start = loop.time()
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as exc:
        return Finding(
            name="TLS",
            state="bad",
            says=f"{host} cannot prove who it is: {_words(exc)}",
            mend="Behind a company's proxy, name its CA file in SSL_CERT_FILE; else check the "
            "address and this machine's clock.",
        )
    except (OSError, TimeoutError) as exc:
        return Finding(
            name="TLS",
            state="bad",
            says=f"{host}:{port} takes no connection: {_words(exc)}",
            mend="Is the address right? A firewall may want a proxy.",
        )
    took = (loop.time() - start) * 1000
    secure: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
    ends = ssl.cert_time_to_seconds(str((secure.getpeercert() or {}).get("notAfter", "")))
    days = int((ends - time.time()) // _DAY)
    says = f"{secure.version()} in {took:.0f} ms, certificate good for {plural(days, 'day')}"
    return Finding(name="TLS", state="warn" if days < _SOON else "ok", says=says)


def plain(profile: Profile) -> Finding:
    """An address without TLS."""
    if is_loopback(profile.host):
        return Finding(name="TLS", state="ok", says="none, and none is needed on this machine")
    return Finding(
        name="TLS",
        state="warn",
        says=f"none: {profile.base_url} is plain http, and the key can be read on the way",
        mend="Use an https address if the vendor has one.",
    )


async def _ask(profile: Profile, key: Secret | None) -> Answer:
    headers = {} if key is None else profile.key_header(key.reveal())
    limit = aiohttp.ClientTimeout(total=_PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
        session.get(
            f"{profile.base_url}/models", headers=headers, allow_redirects=False
        ) as response,
    ):
        text = (await response.content.read(_MOST)).decode("utf-8", "replace")
        try:
            told = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
        except ValueError:
            told = None
        return Answer(response.status, text, told)


def accepted(profile: Profile, key: Secret | None, answer: Answer) -> Finding:
    """What the answer says of the key."""
    name = "key accepted"
    if key is None:
        says = f"{profile.host} answers ({answer.status}); no key was shown to it"
        return Finding(name=name, state="skipped", says=says)
    refused = answer.status in (401, 403) or (
        answer.status == 400 and "API_KEY_INVALID" in answer.text
    )
    if refused:
        return Finding(
            name=name,
            state="bad",
            says=f"{profile.host} refused {key} from {key.origin} ({answer.status})",
            mend="Is it another vendor's key? Name the endpoint with NBP_ENDPOINT or "
            "NBP_BASE_URL, or set the right key with `nbp auth set`.",
        )
    if answer.status == 200:
        return Finding(name=name, state="ok", says=f"by {profile.host}, at no cost")
    state: State = "warn" if answer.status >= 500 else "skipped"
    says = f"{profile.host} answers, but does not tell: {answer.status} for its list of models"
    return Finding(name=name, state=state, says=says)


def _words(exc: BaseException) -> str:
    """An error of the network in words; a time-out has none of its own."""
    if isinstance(exc, TimeoutError) and not exc.args:
        return f"no answer in {_PATIENCE:.0f} s"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return exc.verify_message
    return printable(getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)
