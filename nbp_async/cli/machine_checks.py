"""Checks of this machine for `nbp doctor`: each returns what it found and how to fix it.

None of them sends a paid request.
"""

import asyncio
import dataclasses
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from nbp_async import ClientOptions, ConfigError, Profile, __version__, models
from nbp_async.display.formats import format_bytes, format_seconds, plural, printable

State = Literal["ok", "warn", "bad", "skipped"]
_FILES_PER_CALL = 2  # its socket, and the file that its image goes to
_OTHER_FILES = 64  # Python, the journal, downloads
# What one more held call takes, bytes of memory and seconds of CPU: from 400 to 1,600 calls that
# connect together, measured as `python -m bench core --only held` does, with CPython 3.11.
_HELD_CALL = {
    "http": {"": (19_000, 0.0009), "uvloop": (19_000, 0.0007), "direct": (12_000, 0.0005)},
    "https": {"": (156_000, 0.0021), "uvloop": (29_000, 0.0019), "direct": (36_000, 0.0014)},
}
_LIGHTER = {"uvloop": ("uvloop", "uvloop"), "direct": ('Client(transport="direct")', "httptools")}
"""How each is called, and the module that it needs."""
_TICK = 0.005
_MOST_DELAY = 0.05  # seconds by which the event loop may be late
_MIN_FREE = 1_000_000_000  # bytes: some fifty images of 4K
_LARGE_IMAGE = 20_000_000
_ENDS_SOON = 60  # days
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p"})
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: What was checked, in one or two words.
        state: "ok"; "warn": it works, with a risk; "bad": images will fail; "skipped": unknown.
        message: What was found.
        fix: What to do about it, or "".
    """

    name: str
    state: State
    message: str
    fix: str = ""


def versions() -> CheckResult:
    """Versions of the library, Python and the HTTP client."""
    message = (
        f"nbp_async {__version__}, Python {platform.python_version()}, "
        f"aiohttp {version('aiohttp')}, {platform.system()} {platform.machine()}"
    )
    return CheckResult(name="versions", state="ok", message=message)


def open_files(in_flight: int, soft: int | None = None) -> CheckResult:
    """Whether this many calls can have their sockets and files open at once.

    Args:
        in_flight: Calls in flight at once.
        soft: The limit of open files; None for the system's.
    """
    if soft is None:
        soft = _file_limit()
    if soft is None:
        return CheckResult(
            name="open files", state="skipped", message="the limit is unknown on this system"
        )
    room = max(0, (soft - _OTHER_FILES) // _FILES_PER_CALL)
    needed = in_flight * _FILES_PER_CALL + _OTHER_FILES
    if room < in_flight:
        return CheckResult(
            name="open files",
            state="bad",
            message=f"the limit is {soft:,}; {plural(in_flight, 'call')} in flight need {needed:,}",
            fix=f"ulimit -n {max(4096, needed)}, or --max-in-flight {max(1, room)}",
        )
    return CheckResult(
        name="open files", state="ok", message=f"{soft:,}: enough for {room:,} calls in flight"
    )


def held_calls(in_flight: int, url: str) -> CheckResult:
    """What this many calls take while they wait, and with what it would be less."""
    scheme = "https" if url.startswith("https:") else "http"
    costs = _HELD_CALL[scheme]
    options = [
        f"with {name}{'' if find_spec(module) else f' (extra [{extra}])'} "
        f"{_taken(in_flight, costs[extra])}"
        for extra, (name, module) in _LIGHTER.items()
    ]
    message = (
        f"{plural(in_flight, 'call')} in flight over {scheme} take about "
        f"{'; '.join([_taken(in_flight, costs['']), *options])}"
    )
    return CheckResult(name="held calls", state="ok", message=message)


def _taken(calls: int, each: tuple[int, float]) -> str:
    memory, cpu = each
    return f"{format_bytes(calls * memory)}, {cpu * 1e3:.1f} ms of CPU each"


def open_files_warning(in_flight: int, soft: int | None = None) -> str:
    """A warning before this many calls are sent at once, or ""."""
    found = open_files(in_flight, soft)
    if found.state != "bad":
        return ""
    return f"Too few open files: {found.message}. Some will wait and retry. Fix: {found.fix}"


def model(name: str, profile: Profile, today: date) -> CheckResult:
    """Whether a price is known of the model that will be asked, and how long it lives."""
    prices = profile.prices_for(name)
    if prices is None:
        return CheckResult(
            name="model",
            state="warn",
            message=f"{printable(name)} has no known price at {profile.name}",
            fix="Give one with --price 0.09: limits in dollars are refused without.",
        )
    known = next((known for known in models() if name in (known.name, *known.aliases)), None)
    if known is None or known.ends is None:
        return CheckResult(
            name="model", state="ok", message=f"{printable(name)}, prices as of {prices.dated}"
        )
    days = (known.ends - today).days
    if days > _ENDS_SOON:
        message = f"{name} is switched off on {known.ends}, in {plural(days, 'day')}"
        return CheckResult(name="model", state="ok", message=message)
    when = f"switches off {name} on {known.ends}, in {plural(days, 'day')}"
    if days <= 0:
        when = f"switched off {name} on {known.ends}"
    return CheckResult(
        name="model",
        state="warn",
        message=f"{known.vendor} {when}",
        fix="Choose another one from `nbp prices`, with --model.",
    )


def _file_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def disk(folder: Path) -> CheckResult:
    """Whether images can be written there, how many fit, and whether the disk is local."""
    whole = folder.absolute()
    destination = next(p for p in (whole, *whole.parents) if p.is_dir())
    try:
        with tempfile.TemporaryFile(dir=destination) as file:
            file.write(b"nbp")
        free = shutil.disk_usage(destination).free
    except OSError as exc:
        return CheckResult(
            name="disk",
            state="bad",
            message=f"{printable(str(destination))} is not writable: {exc.strerror}",
            fix="Choose another folder with --out.",
        )
    images = f"{free // _LARGE_IMAGE:,} images of 4K"
    message = f"{format_bytes(free)} free in {printable(str(destination))}: {images}"
    kind = _file_system(destination)
    if free < _MIN_FREE:
        fix = "Free some space: a full disk stops a run before more is paid."
        return CheckResult(name="disk", state="warn", message=message, fix=fix)
    if kind in _NETWORK_FILE_SYSTEMS:
        fix = "A journal needs a local disk: name a file there with --journal."
        return CheckResult(name="disk", state="warn", message=f"{message}, on {kind}", fix=fix)
    return CheckResult(name="disk", state="ok", message=message)


def _file_system(destination: Path) -> str:
    """The type of the file system that holds `place`, or "" if unknown."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best, kind, where = "", "", str(destination.resolve())
    for fields in (line.split() for line in mounts):
        point = fields[1].replace("\\040", " ")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


async def event_loop(ticks: int = 40) -> CheckResult:
    """Which event loop it is, and how late its timers are when nothing else runs."""
    loop = asyncio.get_running_loop()
    kind = type(loop).__module__.partition(".")[0]
    worst = 0.0
    for _ in range(ticks):
        before = loop.time()
        await asyncio.sleep(_TICK)
        worst = max(worst, loop.time() - before - _TICK)
    message = f"{kind}, late by at most {worst * 1000:.0f} ms"
    if worst > _MOST_DELAY:
        fix = "Other programs use the processor: images still come, times are less exact."
        return CheckResult(name="event loop", state="warn", message=message, fix=fix)
    return CheckResult(name="event loop", state="ok", message=message)


def proxies(options: ClientOptions, url: str, environ: Mapping[str, str]) -> CheckResult:
    """By which proxy calls to this address go, and which the environment names in vain."""
    try:
        used = options.network.proxy_for(url)
        named = dataclasses.replace(options, trust_env=True).network.proxy_for(url)
    except ConfigError as exc:
        state: State = "bad" if options.trust_env else "warn"
        return CheckResult(name="proxy", state=state, message=exc.message, fix=exc.hint)
    if used is not None:
        way = "the option" if used.origin == "proxy" else used.origin
        return CheckResult(name="proxy", state="ok", message=f"calls go by {used}, as {way} says")
    if named is not None:
        return CheckResult(
            name="proxy",
            state="warn",
            message=f"{named.origin} names {named}, which is not used: calls go directly to the "
            "endpoint",
            fix="If only a proxy leads out: --trust-env, or Client(trust_env=True).",
        )
    if any(environ.get(name) for name in _PROXIES):
        message = "the environment names one, and none for this endpoint: calls go directly"
        return CheckResult(name="proxy", state="ok", message=message)
    return CheckResult(
        name="proxy",
        state="ok",
        message="none is set. One that cuts calls after 60 s shows only in paid calls: `nbp many` "
        "reports calls that all end after the same time",
    )


def clock(remote: float | None, local: float) -> CheckResult:
    """How far this machine's clock is from the endpoint's; both in seconds since 1970."""
    if remote is None:
        return CheckResult(
            name="clock", state="skipped", message="the endpoint did not send its time"
        )
    off = local - remote
    if abs(off) <= 5:
        return CheckResult(name="clock", state="ok", message="within 5 s of the endpoint's")
    state: State = "bad" if abs(off) > 300 else "warn"
    return CheckResult(
        name="clock",
        state=state,
        message=f"{format_seconds(abs(off))} {'ahead of' if off > 0 else 'behind'} the endpoint's",
        fix="Set it (timedatectl set-ntp true): webhooks and expiring links depend on it.",
    )
