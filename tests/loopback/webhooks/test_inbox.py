"""What was kept outlives the process, and what could not be kept was never said to be."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._client.callbacks import Callbacks
from nbp_async._vendors.profiles import Profile
from nbp_async._webhooks.inbox import RETENTION, InboxFullError, MemoryInbox, SqliteInbox
from nbp_async._webhooks.webhook import Webhook
from nbp_async._webhooks.webhook_message import WebhookEvent
from tests.loopback.webhooks.sender import SECRET, Line, receiving, signed

KEY = "sk-canary-key-that-must-never-be-seen-0001"

CHILD = '''
import asyncio, os, resource, signal, sys
from nbp_async._webhooks.receiver import Receiver
from nbp_async._webhooks.hook_server import HookServer
from nbp_async._webhooks.webhook import Webhook
from tests.loopback.webhooks.sender import SECRET

inbox, dies, most = sys.argv[1], sys.argv[2], int(sys.argv[3])

class Dying(Receiver):
    """Ends between the row and the answer: before the event is handed on, or after."""

    def _dispatch(self, event):
        if dies == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super()._dispatch(event)

def tell(event):
    print(event.id, event.task, flush=True)

async def main():
    receiver = Dying(Webhook(secret=SECRET, inbox=inbox), tell)
    server = HookServer(receiver)
    await server.open()
    if most:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    print(receiver.url, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        print("freed", flush=True)
    await server.aclose()

asyncio.run(main())
'''


class Child:
    """A receiver in a process of its own."""

    def __init__(self, inbox: Path, dies: str = "", most: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(inbox), dies, str(most)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.before: list[str] = []
        while not (line := self.line()).startswith("http"):
            self.before.append(line)
        self.talk = Line(line)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, word: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.line()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def event(name: str, at: float = 0.0) -> WebhookEvent:
    return WebhookEvent(name, "task-7", "done", "standard", b"{}", at)


async def test_a_kill_after_the_row_and_before_the_answer_leaves_it_kept(tmp_path: Path) -> None:
    """The sender heard nothing and sends again; what was kept is handed on once."""
    message = await signed()
    child = Child(tmp_path / "in.sqlite3", "before")
    assert await child.talk.post(*message) == 0
    child.process.communicate()
    assert child.process.returncode == -signal.SIGKILL
    again = Child(tmp_path / "in.sqlite3")
    try:
        assert again.before == ["msg-1 task-7"], "handed on, as soon as it is up again"
        assert await again.talk.post(*message) == 200
        assert await again.talk.post(*await signed("msg-2", "task-8")) == 200
        assert again.line() == "msg-2 task-8", "and not a second time"
    finally:
        again.kill()


async def test_what_was_answered_is_known_after_a_kill(tmp_path: Path) -> None:
    child = Child(tmp_path / "in.sqlite3")
    messages = [await signed(f"msg-{number}") for number in range(30)]
    assert await asyncio.gather(*(child.talk.post(*message) for message in messages)) == [200] * 30
    child.kill()
    async with receiving(inbox=tmp_path / "in.sqlite3") as (receiver, _, line):
        assert await asyncio.gather(*(line.post(*message) for message in messages)) == [200] * 30
        assert receiver.counts.duplicates == 30


async def test_on_a_full_disk_the_sender_is_to_come_again(tmp_path: Path) -> None:
    child = Child(tmp_path / "in.sqlite3", most=100_000)
    try:
        statuses = []
        for number in range(20):
            body = json.dumps({"task_id": f"t{number}", "note": "x" * 20_000}).encode()
            statuses.append(await child.talk.post(*await signed(f"msg-{number}", body=body)))
        assert statuses[0] == 200
        assert statuses[-1] == 503
        assert set(statuses) == {200, 503}
        told = [child.line() for _ in range(statuses.count(200))]
        assert told == [f"msg-{n} t{n}" for n in range(20) if statuses[n] == 200]
        assert child.say("free") == "freed"
        body = json.dumps({"task_id": "t19", "note": "x" * 20_000}).encode()
        assert await child.talk.post(*await signed("msg-19", body=body)) == 200, "room again"
    finally:
        child.kill()


async def test_ids_are_remembered_for_a_week(tmp_path: Path) -> None:
    for inbox in (MemoryInbox(), SqliteInbox(tmp_path / "in.sqlite3")):
        await inbox.open()
        assert await inbox.add(event("a", 1000.0))
        assert not await inbox.add(event("a", 1000.0 + RETENTION - 10))
        assert await inbox.add(event("b", 1000.0 + RETENTION + 4000))
        assert await inbox.add(event("a", 1000.0 + RETENTION + 4001)), (
            "that long nobody tries again"
        )
        await inbox.aclose()


async def test_the_words_are_forgotten_once_they_were_handed_on(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "in.sqlite3")
    await inbox.open()
    await inbox.add(event("a"))
    await inbox.add(event("b"))
    inbox.mark_dispatched(event("a"))
    await inbox.aclose()
    again = SqliteInbox(tmp_path / "in.sqlite3")
    assert [kept.id for kept in await again.open()] == ["b"]
    await again.aclose()
    assert (tmp_path / "in.sqlite3").stat().st_mode & 0o777 == 0o600


async def test_a_key_in_a_webhook_is_never_in_the_file(tmp_path: Path) -> None:
    """Not before it is dispatched either; and the signature is that of the bytes as they came."""
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in KEY)
    text = json.dumps({"task_id": "t-7", "status": "done", "key": KEY, "more": "MORE"})
    text = text.replace("MORE", escaped)
    bodies: list[bytes] = []

    def on_event(event: WebhookEvent) -> asyncio.Future[None]:
        bodies.append(event.body)
        return dispatched

    dispatched: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    inbox = tmp_path / "in.sqlite3"
    async with receiving(tell=on_event, inbox=inbox, hide=[Secret(KEY)]) as (_, _, line):
        assert await line.post(*await signed(body=text.encode())) == 200
        files = [path.read_bytes() for path in tmp_path.iterdir()]
        assert sum(b"t-7" in content for content in files) == 1, "it waits to be dispatched"
        assert not any(KEY.encode() in content for content in files)
        assert not any(escaped.encode() in content for content in files)
        dispatched.set_result(None)
    shown = json.loads(bodies[0])
    assert (shown["task_id"], shown["key"], shown["more"]) == ("t-7", "[hidden]", "[hidden]")


async def test_a_client_hides_its_own_key(tmp_path: Path) -> None:
    """What was dispatched is in the file's free pages for a while: there is no key in them."""
    profile = Profile(name="v", base_url="https://v.example")
    hook = Webhook(secret=SECRET, inbox=tmp_path / "in.sqlite3")
    callbacks = Callbacks(hook, profile, Secret(KEY), None)
    await callbacks.open()
    body = json.dumps({"task_id": "t-7", "status": "done", "key": KEY}).encode()
    assert await Line(callbacks.url).post(*await signed(body=body)) == 200
    await callbacks.hints.wait("t-7", 5.0)
    contents = [path.read_bytes() for path in tmp_path.iterdir()]
    assert any(b"t-7" in content for content in contents)
    assert not any(KEY.encode() in content for content in contents)
    await callbacks.aclose()


async def test_a_file_of_another_kind_or_of_another_process_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all, but a long text" * 100)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    for name, why in (
        ("notes.txt", "not a database"),
        ("other.db", "another program"),
        ("no/such/folder", "No such file"),
        (".", "unable to open"),
    ):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).is_file() else b""
        with pytest.raises(ConfigError, match=f"cannot be used: .*{why}"):
            await SqliteInbox(tmp_path / name).open()
        if before:
            assert (tmp_path / name).read_bytes()[100:] == before[100:]
    inbox = SqliteInbox(tmp_path / "in.sqlite3")
    await inbox.open()
    with pytest.raises(ConfigError, match="another process"):
        await SqliteInbox(tmp_path / "in.sqlite3").open()
    await inbox.aclose()


async def test_a_file_whose_table_is_not_ours_is_refused_and_keeps_nobody_waiting(
    tmp_path: Path,
) -> None:
    inbox = SqliteInbox(tmp_path / "in.sqlite3")
    await inbox.open()
    await inbox.aclose()
    with sqlite3.connect(tmp_path / "in.sqlite3") as other:
        other.execute("ALTER TABLE event RENAME COLUMN task TO job")
    other.close()
    with pytest.raises(ConfigError, match="cannot be used"):
        await asyncio.wait_for(SqliteInbox(tmp_path / "in.sqlite3").open(), 5)


async def test_a_closed_inbox_keeps_nothing(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "in.sqlite3")
    await inbox.open()
    await inbox.aclose()
    await inbox.aclose()
    with pytest.raises(InboxFullError):
        await inbox.add(event("a", time.time()))
    assert not [name for name in os.listdir(tmp_path) if name.endswith("-wal")]
