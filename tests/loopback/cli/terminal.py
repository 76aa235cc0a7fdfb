"""A real terminal: a shell in tmux, its keys and its screen."""

import asyncio
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

TMUX = shutil.which("tmux")
ROOT = Path(__file__).parent.parent.parent.parent


class Terminal:
    """A shell on a screen of its own, where `nbp` is a command."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def tmux(self, *words: str) -> str:
        assert TMUX is not None
        process = await asyncio.create_subprocess_exec(
            TMUX, "-L", self._name, "-f", os.devnull, *words, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out.decode()

    async def type(self, text: str) -> None:
        """Type a line, and press Enter."""
        await self.tmux("send-keys", "-l", text)
        await self.tmux("send-keys", "Enter")

    async def press_ctrl_c(self) -> None:
        await self.tmux("send-keys", "C-c")

    async def screen(self) -> str:
        """What is on it, and what has left it at the top."""
        return (await self.tmux("capture-pane", "-p", "-S", "-200")).rstrip()

    async def shows(self, words: str) -> str:
        """Wait until `words` are on the screen, wherever its lines were wrapped."""
        seen = ""
        try:
            async with asyncio.timeout(30):
                while words not in " ".join((seen := await self.screen()).split()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"never showed {words!r}:\n{seen}") from None
        return seen


@asynccontextmanager
async def terminal(folder: Path, width: int, **environ: str) -> AsyncIterator[Terminal]:
    """A terminal of so many columns, whose shell is in `folder`."""
    shown = Terminal(f"nbp-{uuid.uuid4().hex[:12]}")
    known = {"PS1": "$ ", "PYTHONPATH": str(ROOT), "HISTFILE": "", **environ}
    words = [word for name, value in known.items() for word in ("-e", f"{name}={value}")]
    await shown.tmux(
        "new-session", "-d", "-x", str(width), "-y", "24", "-c", str(folder), *words, "/bin/sh"
    )
    try:
        await shown.type(f'nbp() {{ {sys.executable} -m nbp_async "$@"; }}; clear')
        yield shown
    finally:
        await shown.tmux("kill-server")
