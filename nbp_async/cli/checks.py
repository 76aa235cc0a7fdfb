"""What can stand between a command and its images on this machine, checked one by one.

A check looks, and says what it found and how to mend it. None of them sends a paid request.
"""

import asyncio
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from nbp_async import __version__
from nbp_async._words import plural, printable, span, weight

State = Literal["ok", "warn", "bad", "skipped"]
_FILES_OF_A_CALL = 2  # its socket, and the file that its image goes to
_FILES_BESIDES = 64  # Python, the journal, downloads
_TICK = 0.005
_LATE = 0.05  # seconds by which the event loop may be late
_LITTLE_ROOM = 1_000_000_000  # bytes: some fifty images of 4K
_LARGE_IMAGE = 20_000_000
_FAR_AWAY = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p"})
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was checked, in a word or two.
        state: "ok"; "warn": it works, but; "bad": images will fail; "skipped": not to be known.
        says: What was found.
        mend: What to do about it, or "".
    """

    name: str
    state: State
    says: str
    mend: str = ""


def versions() -> Finding:
    """Of the library, of Python, of the HTTP client."""
    says = (
        f"nbp_async {__version__}, Python {platform.python_version()}, "
        f"aiohttp {version('aiohttp')}, {platform.system()} {platform.machine()}"
    )
    return Finding(name="versions", state="ok", says=says)


def open_files(in_flight: int, soft: int | None = None) -> Finding:
    """Whether so many calls may have their sockets and files open at once.

    Args:
        in_flight: Calls at once.
        soft: The limit of open files; None asks the system.
    """
    if soft is None:
        soft = _file_limit()
    if soft is None:
        return Finding(name="open files", state="skipped", says="no limit that can be read here")
    room = max(0, (soft - _FILES_BESIDES) // _FILES_OF_A_CALL)
    needed = in_flight * _FILES_OF_A_CALL + _FILES_BESIDES
    if room < in_flight:
        return Finding(
            name="open files",
            state="bad",
            says=f"{soft:,} are allowed, and {plural(in_flight, 'call')} in flight need {needed:,}",
            mend=f"ulimit -n {max(4096, needed)}, or --max-in-flight {max(1, room)}",
        )
    return Finding(
        name="open files", state="ok", says=f"{soft:,}: enough for {room:,} calls in flight"
    )


def too_few_files(in_flight: int, soft: int | None = None) -> str:
    """What to say before so many calls are sent at once, or nothing where they have room."""
    found = open_files(in_flight, soft)
    if found.state != "bad":
        return ""
    return f"Too few open files: {found.says}. Some will wait and try again. Mend: {found.mend}"


def _file_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def disk(folder: Path) -> Finding:
    """Whether images can be written there, for how many there is room, and whose disk it is."""
    whole = folder.absolute()
    place = next(p for p in (whole, *whole.parents) if p.is_dir())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"nbp")
        free = shutil.disk_usage(place).free
    except OSError as exc:
        return Finding(
            name="disk",
            state="bad",
            says=f"{printable(str(place))} cannot be written to: {exc.strerror}",
            mend="Choose another folder with --out.",
        )
    says = f"{weight(free)} free in {printable(str(place))}: {free // _LARGE_IMAGE:,} images of 4K"
    kind = _file_system(place)
    if free < _LITTLE_ROOM:
        mend = "Make room: a full disk stops a run before more is paid."
        return Finding(name="disk", state="warn", says=says, mend=mend)
    if kind in _FAR_AWAY:
        mend = "A journal wants a local disk: name one with --journal."
        return Finding(name="disk", state="warn", says=f"{says}, on {kind}", mend=mend)
    return Finding(name="disk", state="ok", says=says)


def _file_system(place: Path) -> str:
    """The kind of the file system that holds `place`, where the system says so."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best, kind, where = "", "", str(place.resolve())
    for fields in (line.split() for line in mounts):
        point = fields[1].replace("\\040", " ")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


async def event_loop(ticks: int = 40) -> Finding:
    """Which loop it is, and by how much it is late when nothing else runs on it."""
    loop = asyncio.get_running_loop()
    kind = type(loop).__module__.partition(".")[0]
    worst = 0.0
    for _ in range(ticks):
        before = loop.time()
        await asyncio.sleep(_TICK)
        worst = max(worst, loop.time() - before - _TICK)
    says = f"{kind}, late by {worst * 1000:.0f} ms at most"
    if worst > _LATE:
        mend = "Other programs take the processor: images still come, times are less exact."
        return Finding(name="event loop", state="warn", says=says, mend=mend)
    return Finding(name="event loop", state="ok", says=says)


def proxies(environ: Mapping[str, str]) -> Finding:
    """Whether the environment names a proxy, which is not used."""
    named = [name for name in _PROXIES if environ.get(name)]
    if named:
        return Finding(
            name="proxy",
            state="warn",
            says=f"{', '.join(named)} is set, and not used: calls go straight to the endpoint",
            mend="Where only a proxy leads out, name a relay of your own with NBP_BASE_URL.",
        )
    return Finding(
        name="proxy",
        state="ok",
        says="none is named. One that cuts calls after 60 s shows only in calls that are paid: "
        "`nbp many` says so when they end at one value",
    )


def clock(remote: float | None, local: float) -> Finding:
    """How far this machine's clock is from the endpoint's; both in seconds since 1970."""
    if remote is None:
        return Finding(name="clock", state="skipped", says="the endpoint did not tell its time")
    off = local - remote
    if abs(off) <= 5:
        return Finding(name="clock", state="ok", says="within 5 s of the endpoint's")
    state: State = "bad" if abs(off) > 300 else "warn"
    return Finding(
        name="clock",
        state=state,
        says=f"{span(abs(off))} {'ahead of' if off > 0 else 'behind'} the endpoint's",
        mend="Set it (timedatectl set-ntp true): webhooks and links with an end depend on it.",
    )
