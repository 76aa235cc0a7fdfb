"""The machine and the program of a run, so that its figures can be judged later."""

import os
import platform
import resource
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from bench.records import Environment

PACKAGES = (
    "nbp-async",
    "aiohttp",
    "requests",
    "httpx",
    "openai",
    "google-genai",
    "msgspec",
    "pybase64",
    "looptime",
    "uvloop",
    "psutil",
)
ROOT = Path(__file__).parent.parent


def environment(load_before: tuple[float, float, float]) -> Environment:
    """As it is now; the load as it was before."""
    return Environment(
        commit=_git("rev-parse", "HEAD"),
        dirty=bool(_git("status", "--porcelain", "--untracked-files=no")),
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=platform.platform(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        affinity=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        load_before=load_before,
        load_after=os.getloadavg(),
        clock_source=_read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        packages=dict(_versions(PACKAGES)),
    )


def _versions(names: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for name in names:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def _git(*words: str) -> str:
    """What git says, or "" where this is no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _cpu() -> str:
    lines = _read("/proc/cpuinfo").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
