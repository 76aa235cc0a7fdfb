"""A PostgreSQL in a temporary folder: nobody else uses it, so that it may be killed.

It is started by the programs of an installed server, as the user "postgres" where we are root, who
may not start one.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "postgres"
_PATIENCE = 60.0  # seconds for it to start
_STARTS = 20  # attempts, a quarter of a second apart
_SETTINGS = {"max_connections": "200", "shared_buffers": "256MB", "logging_collector": "off"}


class OwnPostgres:
    """A server that runs; `url` is that of its database."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._port = _free_port()
        self.url = f"postgresql://{_USER}@127.0.0.1:{self._port}/{_USER}"

    def run_address(self) -> str:
        """The address of a run in tables of its own."""
        return f"{self.url}?run=bench&schema=bench_{secrets.token_hex(6)}"

    async def make(self) -> None:
        """Make its files."""
        where = str(self._folder / "data")
        await self._run("initdb", "-D", where, "-U", _USER, "-A", "trust", "-E", "UTF8")

    async def start(self) -> None:
        """Start it, and wait until it answers; after a kill it recovers first."""
        settings = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
        options = f"-p {self._port} -k '' -c listen_addresses=127.0.0.1 {settings}"
        log = str(self._folder / "log")
        words = ("-l", log, "-w", "-t", f"{_PATIENCE:.0f}", "-o", options, "start")
        for left in reversed(range(_STARTS)):
            try:
                await self._control(*words)
                return
            except RuntimeError:  # processes of the one that was killed have not ended yet
                if not left:
                    raise
                await asyncio.sleep(0.25)

    async def kill(self) -> None:
        """End it (SIGKILL), as a power cut of its machine would."""
        file = self._folder / "data" / "postmaster.pid"
        pid = int((await asyncio.to_thread(file.read_text)).split()[0])
        os.kill(pid, signal.SIGKILL)
        while _is_there(pid):  # noqa: ASYNC110  it is another process
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End it in good order, dropping its connections."""
        await self._control("-m", "fast", "-w", "stop")

    async def execute(self, statements: str) -> str:
        """Run statements; gives what the last one says, without names of columns."""
        words = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-f", "-")
        return await self._run("psql", *words, said_to_it=statements)

    async def _control(self, *words: str) -> None:
        await self._run("pg_ctl", "-D", str(self._folder / "data"), *words)

    async def _run(self, program: str, *words: str, said_to_it: str = "") -> str:
        log = self._folder / f"{program}.log"  # pg_ctl's server keeps what it inherits
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                str(self._programs / program),
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=errors if program == "pg_ctl" else asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=self._folder,
                user=_USER if os.geteuid() == 0 else None,
                start_new_session=True,  # a Ctrl-C is ours, not its
            )
            said, _ = await process.communicate(said_to_it.encode())
        if process.returncode:
            words_said = (await asyncio.to_thread(log.read_text, "utf-8", "replace")).strip()
            raise RuntimeError(f"{program} failed: {words_said[-500:]}")
        return (said or b"").decode().strip()


@asynccontextmanager
async def own_postgres() -> AsyncIterator[OwnPostgres]:
    """One that ends, with its files, when the body does.

    Raises:
        RuntimeError: It did not start.
    """
    programs = postgres_programs()
    assert programs is not None, "ask `why_no_postgres` first"
    is_root = os.geteuid() == 0  # whose own folder of temporary files others may not enter
    folder = Path(tempfile.mkdtemp(prefix="nbp-bench-pg-", dir="/tmp" if is_root else None))
    try:
        if is_root:
            os.chown(folder, pwd.getpwnam(_USER).pw_uid, -1)
        server = OwnPostgres(programs, folder)
        await server.make()
        await server.start()
        try:
            yield server
        finally:
            with suppress(RuntimeError):
                await server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, or None."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(_DEBIAN.glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "pg_ctl").exists()), None)


def why_no_postgres() -> str:
    """Why no server of our own can be started, or ""."""
    if postgres_programs() is None:
        return "no initdb and pg_ctl are installed"
    if os.geteuid() == 0 and _USER not in {one.pw_name for one in pwd.getpwall()}:
        return f'root may not start one, and there is no user "{_USER}"'
    if find_spec("psycopg") is None:
        return 'the extra "postgres" is not installed'
    return ""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
