"""A page in a real browser that a test uses as people do: Chromium, steered by its protocol."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.browser import CHROMIUM

_PATIENCE = 60.0  # seconds until a test that waits in vain fails


class Tab:
    """One page of a browser of its own.

    Attributes:
        sent: The requests that the page made, as the browser's network log has them.
        complaints: What the browser and the page's code wrote as warnings and errors.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.sent: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._received: list[str] = []
        self._session = ""

    async def open(self) -> None:
        """Attach to a new page, and listen to what it does."""
        target = await self.call("Target.createTarget", url="about:blank")
        found = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.call(f"{domain}.enable")

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """Call a method of the browser's protocol, and give its result."""
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        number = next(self._numbers)
        self._answers[number] = answered
        await self._send(number, method, params)
        answer = await asyncio.wait_for(answered, _PATIENCE)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    async def _send(self, number: int, method: str, params: Mapping[str, object]) -> None:
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_str(json.dumps(message))

    async def look(
        self, *, width: int, height: int, dark: bool = False, touch: bool = False
    ) -> None:
        """Be a screen of this size."""
        scale = 2 if touch else 1
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": touch}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def go(self, url: str) -> None:
        """Open the page, and wait until its script has run."""
        await self.call("Page.navigate", url=url)
        await self.wait_for(f"location.href.startsWith({json.dumps(url)})")
        await self.wait_for("document.readyState == 'complete'")

    async def reload(self) -> None:
        """Load it again, as the reload button does."""
        await self.run("window.isOld = true")
        await self.call("Page.reload")
        await self.wait_for("!window.isOld && document.readyState == 'complete'")

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; of a promise, what it becomes."""
        params = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        done = await self.call("Runtime.evaluate", expression=script, **params)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def wait_for(self, claim: str) -> None:
        """Wait in the page until the expression is true."""
        asked = f"(() => {{ try {{ return Boolean({claim}); }} catch {{ return false; }} }})()"
        until = asyncio.get_running_loop().time() + _PATIENCE
        while asyncio.get_running_loop().time() < until:
            # A page that is being left does not answer, and the next one may.
            with contextlib.suppress(AssertionError, TimeoutError):
                if await asyncio.wait_for(self.run(asked), 5):
                    return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{claim}: {await self.run('document.body.innerText')}")

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, *, ctrl: bool = False) -> None:
        """Press a key: "Enter", "Tab", "Escape", "ArrowLeft" ..."""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, " ": 32}
        given = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": codes[key],
            "modifiers": 2 if ctrl else 0,
        }
        text = {"Enter": "\r", " ": " "}.get(key)
        await self.call("Input.dispatchKeyEvent", type="keyDown", **given, **(text_of(text)))
        await self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    async def click(self, selector: str, text: str = "") -> None:
        """Click the first element of the selector that shows this text."""
        found = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(e => e.checkVisibility() && e.textContent.includes({json.dumps(text)}))"
        )
        await self.wait_for(f"{found}")
        await self.run(f"{found}.click()")

    async def choose_files(self, selector: str, *files: Path) -> None:
        """Choose files in an input."""
        document = await self.call("DOM.getDocument")
        root = document["root"]["nodeId"]
        node = await self.call("DOM.querySelector", nodeId=root, selector=selector)
        names = list(map(str, files))
        await self.call("DOM.setFileInputFiles", files=names, nodeId=node["nodeId"])

    async def bodies(self) -> str:
        """All texts that came for the page and that the browser still has."""
        texts = []
        for number in self._received:
            with contextlib.suppress(AssertionError):  # a stream that goes on has none yet
                body = await self.call("Network.getResponseBody", requestId=number)
                texts.append("" if body["base64Encoded"] else body["body"])
        return "".join(texts)

    async def photograph(self, file: Path, *, whole: bool = False) -> None:
        """Write what is seen into a PNG file."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    async def listen(self) -> None:
        """Read what the browser says, until it ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"], None)
                if answer is not None and not answer.done():  # nobody may wait for it any more
                    answer.set_result(said)
            elif said["method"] == "Page.javascriptDialogOpening":
                await self._send(
                    next(self._numbers), "Page.handleJavaScriptDialog", {"accept": True}
                )
            else:
                self._hear(said["method"], said["params"])
        for answer in self._answers.values():
            answer.cancel()

    def _hear(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.sent.append(params["request"])
        elif method == "Network.loadingFinished":
            self._received.append(params["requestId"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(params["args"]))


def text_of(text: str | None) -> dict[str, str]:
    """A key's text, for keys that have one."""
    return {} if text is None else {"text": text}


@contextlib.asynccontextmanager
async def open_tab(folder: Path) -> AsyncIterator[Tab]:
    """A browser with one page, which ends with the body; its profile is in the folder."""
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}/chromium",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert browser.stderr is not None, "it is a pipe"
    try:
        address = await _address(browser.stderr)
        reading = asyncio.ensure_future(_read_out(browser.stderr))
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            tab = Tab(socket)
            listening = asyncio.ensure_future(tab.listen())
            await tab.open()
            yield tab
            await socket.close()
            await listening
        browser.terminate()
        await reading
    finally:
        if browser.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                browser.kill()
        await browser.wait()


async def _address(stderr: asyncio.StreamReader) -> str:
    async for line in stderr:
        _, found, address = line.decode().partition("DevTools listening on ")
        if found:
            return address.strip()
    raise AssertionError("the browser did not start")


async def _read_out(stderr: asyncio.StreamReader) -> None:
    async for _ in stderr:
        pass
