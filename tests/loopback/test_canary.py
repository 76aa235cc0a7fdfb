"""A vendor that writes the key into everything it says: the key comes out nowhere.

The server below answers as each prompt asks it to, and has the key in its answer wherever one may
be, in six spellings. Then everything that the call left is searched: errors, logs, the run's files,
reports, tables, pages and spans.
"""

import base64
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import msgspec
import pytest
from aiohttp import web
from click.testing import CliRunner
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nbp_async import Client, Failure, Limits, Profile, TaskTable, Webhook, read_run
from nbp_async._calls.batch import Batch
from nbp_async._models.outcomes import Via
from nbp_async.cli.app import app
from nbp_async.telemetry import OpenTelemetry
from tests.pictures import png
from tests.transports import TRANSPORTS, Name

pytestmark = pytest.mark.looptime

KEY = 'Canary7/that+must.never:be=seen"by&nobody-0042'
"""Of no known form, and with characters that every spelling writes differently."""
PNG = png(1024, 1024)
SPELLINGS = {
    "plain": KEY,
    "percent": quote(KEY, safe=""),
    "twice": quote("".join(f"%{ord(c):02x}" for c in KEY), safe=""),
    "base64": base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    "escaped": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "words": " ".join(KEY[at : at + 5] for at in range(0, len(KEY), 5)),
    "cut": "x" * 470 + KEY,  # where 500 characters of a text are kept
    "short": "x" * 150 + KEY,  # where 200 are
}
HELD = ("image", "link", "gone", "page_link", "400", "401", "422", "500", "502", "302")
HELD_200 = ("page", "none", "cut", "other", "text")
TASKS = ("image", "link", "gone", "failed", "page", "none", "404", "400")
LINES = ("broken", "image", "link", "gone", "error", "400", "500", "unknown")
TABLE = TaskTable(
    submit="/tasks",
    look="/tasks/{id}",
    look_url="urls.get",
    images=("data[].b64_json",),
    links=("data[].url",),
    callback="hook",
)


class Vendor:
    """Echoes the key; `said` are the texts that it was seen to say."""

    def __init__(self) -> None:
        self.url = ""
        self.lines: list[bytes] = []
        self.job: dict[str, Any] = {}

    def document(self, case: str, says: str) -> dict[str, Any]:
        more = {"id": says, "request_id": says, "model": says, "usage": {"note": says}}
        image: dict[str, Any] = {"revised_prompt": says, "note": says}
        kinds = {
            "image": {"b64_json": base64.b64encode(PNG).decode()},
            "link": {"url": f"{self.url}/img?key={quote(says, safe='%')}"},
            "gone": {"url": f"{self.url}/gone?key={quote(says, safe='%')}"},
            "page_link": {"url": f"{self.url}/page?key={quote(says, safe='%')}"},
            "text": {"text": says},
        }
        data = [image | kinds[case]] if case in kinds else []
        return {**more, "data": data, "text": says, "message": says}

    def refusal(self, says: str) -> dict[str, Any]:
        error = {"message": says, "code": says, "type": says, "param": says, "status": says}
        return {"error": error}

    def answer(self, case: str, says: str) -> web.Response:
        """The answer to a held call."""
        headers = head_of(says)
        if case.isdigit() and case != "502":
            if case == "302":
                headers["Location"] = f"{self.url}/elsewhere?key={quote(says)}"
            return web.json_response(self.refusal(says), status=int(case), headers=headers)
        if case in ("page", "502"):
            page = f"<html><title>{says}</title><p>{says}</html>"
            status = 502 if case == "502" else 200
            return web.Response(text=page, status=status, content_type="text/html", headers=headers)
        if case == "other":
            return web.json_response({says: [says, {"deep": says}]}, headers=headers)
        text = json.dumps(self.document(case, says))
        text = text[:-12] if case == "cut" else text
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def generate(self, request: web.Request) -> web.Response:
        body = await request.json()
        case, spelling = body["prompt"].split()[-2:]
        return self.answer(case, SPELLINGS[spelling])

    async def submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        case, spelling = body["prompt"].split()[-2:]
        says = SPELLINGS[spelling]
        if "hook" in body:
            event = {"id": f"{case}-{spelling}", "status": "done", "says": says}
            async with aiohttp.ClientSession() as session:
                await session.post(body["hook"], json=event, headers={"X-Says": quote(says)})
        look = f"{self.url}/tasks/{case}-{spelling}?key={quote(says, safe='%')}"
        task = {"id": f"{case}-{spelling}", "status": "queued", "urls": {"get": look}, "says": says}
        return web.json_response(task, headers=head_of(says))

    async def poll(self, request: web.Request) -> web.Response:
        assert "hidden" not in request.path_qs
        case, spelling = request.match_info["id"].split("-")
        says = SPELLINGS[spelling]
        if case == "failed":
            failed = {"id": f"{case}-{spelling}", "status": "failed", **self.refusal(says)}
            return web.json_response(failed, headers=head_of(says))
        if case.isdigit() or case == "page":
            return self.answer(case, says)
        document = self.document(case, says) | {"id": f"{case}-{spelling}", "status": "done"}
        return web.json_response(document, headers=head_of(says))

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file: Any = form["file"]
        self.lines = file.file.read().splitlines()
        says = SPELLINGS["plain"]
        return web.json_response({"id": "file-1", "says": says}, headers=head_of(says))

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        says = SPELLINGS["percent"]
        self.job = {"id": "batch-1", "status": "in_progress"}
        self.job["metadata"] = body["metadata"] | {"says": says}
        return web.json_response(self.job | {"says": says}, headers=head_of(says))

    async def look(self, _request: web.Request) -> web.Response:
        says = SPELLINGS["escaped"]
        errors = {"data": [{"message": says, "line": 1}]}
        done = {"status": "completed", "output_file_id": "out-1", "errors": errors}
        return web.json_response(self.job | done, headers=head_of(says))

    async def results(self, _request: web.Request) -> web.Response:
        lines = []
        for text in self.lines:
            asked = json.loads(text)
            case, spelling = asked["body"]["prompt"].split()[-2:]
            lines.append(self.result(asked["custom_id"], case, SPELLINGS[spelling]))
        return web.Response(body=b"\n".join(lines), headers=head_of(KEY))

    def result(self, name: str, case: str, says: str) -> bytes:
        line: dict[str, Any] = {"id": says, "custom_id": name, "error": None}
        if case == "error":
            line["error"] = {"message": says, "code": says}
        elif case == "broken":
            return json.dumps({"custom_id": name, "says": says}).encode()[:-1]
        elif case == "unknown":
            line["custom_id"] = says
        status = int(case) if case.isdigit() else 200
        body = self.refusal(says) if status != 200 else self.document(case, says)
        return json.dumps(line | {"response": {"status_code": status, "body": body}}).encode()

    async def image(self, _request: web.Request) -> web.Response:
        return web.Response(body=PNG, headers=head_of(KEY) | {"ETag": f'"{quote(KEY)}"'})

    async def gone(self, _request: web.Request) -> web.Response:
        return web.json_response(self.refusal(KEY), status=404, headers=head_of(KEY))

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(text=f"<html>{KEY}", content_type="text/html", headers=head_of(KEY))


def head_of(says: str) -> dict[str, str]:
    names = ("X-Request-Id", "Server", "X-Says", "X-Gemini-Service-Tier")
    return dict.fromkeys(names, says)


@asynccontextmanager
async def vendor() -> AsyncIterator[Vendor]:
    """It serves on a free port of 127.0.0.1."""
    echo = Vendor()
    routes = web.Application(client_max_size=10**8)
    routes.add_routes(
        [
            web.post("/v1/images/generations", echo.generate),
            web.post("/v1/tasks", echo.submit),
            web.get("/v1/tasks/{id}", echo.poll),
            web.post("/v1/files", echo.upload),
            web.post("/v1/batches", echo.create),
            web.get("/v1/batches/{id}", echo.look),
            web.get("/v1/files/{id}/content", echo.results),
            web.get("/v1/img", echo.image),
            web.get("/v1/gone", echo.gone),
            web.get("/v1/page", echo.page),
        ]
    )
    runner = web.AppRunner(routes, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    echo.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield echo
    finally:
        await runner.cleanup()


def spelled(text: str) -> Iterator[str]:
    """The text as it is, and as a reader would make the key of it."""
    yield text
    plain = text
    for _ in range(3):
        plain = unquote(plain)
        plain = re.sub(r"\\+u00([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), plain)
    yield re.sub(r"[\s\\]", "", plain)


PIECES = [KEY[at : at + 12] for at in range(0, len(KEY) - 11, 4)]
PIECES += [base64.b64encode(f"Bearer {KEY}".encode()).decode()[16:32]]


def search(what: str, text: str) -> list[str]:
    """Where a piece of the key is in the text."""
    return [
        f"{what}: …{one[max(0, one.find(piece) - 80) : one.find(piece) + 80]!r}…"
        for one in spelled(text)
        for piece in PIECES
        if piece in one
    ][:1]


def texts_of(batch: Batch, folder: Path, spans: list[Any]) -> Iterator[tuple[str, str]]:
    """Everything that a call left, by name."""
    for outcome in batch:
        yield f"outcome {outcome.index}", f"{outcome} {outcome!r} {facts_of(outcome)}"
        if isinstance(outcome, Failure):
            error = outcome.error
            yield f"error {outcome.index}", f"{error} {error!r} {error.args} {vars(error)}"
            yield f"cause {outcome.index}", f"{error.__cause__!r} {error.__context__!r}"
        if hasattr(outcome, "_repr_html_"):
            yield f"page {outcome.index}", outcome._repr_html_()
    yield "batch", f"{batch} {batch!r} {batch._repr_html_()}"
    timeline = batch.timeline()
    yield "timeline", f"{timeline!r} {timeline._repr_html_()} {timeline._repr_svg_()}"
    yield "spans", "\n".join(span.to_json() for span in spans)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".png":
            yield str(path.name), path.read_bytes().decode("latin-1")
        yield "name", path.name
    report = read_run(folder)
    yield "report", f"{report!r} {list(report.rows())} {[repr(o) for o in report.outcomes()]}"
    for words in (["show", "--table"], ["show", "--json"], ["show"], ["export"]):
        done = CliRunner().invoke(app, [*words, str(folder)])
        yield " ".join(words), done.output
    page = str(folder.parent / "page.html")
    assert CliRunner().invoke(app, ["show", "--html", page, str(folder)]).exit_code == 0
    yield "show --html", Path(page).read_text("utf-8")


def spellings_for(transport: str) -> list[str]:
    """All with one transport; what is hidden from its replies is the same with another."""
    return list(SPELLINGS) if transport == "aiohttp" else ["plain", "escaped"]


def facts_of(outcome: Any) -> str:
    """Every field, those that a repr leaves out as well."""
    return repr(msgspec.structs.asdict(outcome))


async def make(
    folder: Path,
    cases: tuple[str, ...],
    via: Via,
    transport: Name,
    **options: Any,
) -> tuple[Batch, list[Any], Vendor]:
    """A prompt for each case in each spelling."""
    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([InMemoryMetricReader()])
    listener = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    spellings = spellings_for(transport)
    prompts = [f"a bicycle {case} {spelling}" for spelling in spellings for case in cases]
    async with vendor() as server:
        endpoint = Profile(name="vendor", base_url=server.url, tasks=TABLE, batches=True)
        async with Client(
            endpoint,
            KEY,
            transport=transport,
            listeners=[listener],
            limits=Limits(max_in_flight=8),
            **options,
        ) as gen:
            batch = await gen.many(prompts, size="1K", via=via, out=folder)
            spoken = f"{gen!r} {gen.bill()!r} {gen.statistics()!r}"
            assert not search("client", spoken)
    return batch, list(spans.get_finished_spans()), server


@pytest.fixture(autouse=True)
def logs_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def assert_hidden(
    batch: Batch, folder: Path, spans: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = [at for name, text in texts_of(batch, folder, spans) for at in search(name, text)]
    found += search("log", "\n".join(f"{r.getMessage()} {r.args}" for r in caplog.records))
    assert not found, "\n".join(found)


@TRANSPORTS
async def test_held_calls(tmp_path: Path, transport: Any, caplog: pytest.LogCaptureFixture) -> None:
    batch, spans, _ = await make(tmp_path / "run", HELD + HELD_200, "held", transport)
    assert len(batch.images) == 2 * len(spellings_for(transport))
    assert_hidden(batch, tmp_path / "run", spans, caplog)


@TRANSPORTS
async def test_tasks(tmp_path: Path, transport: Any, caplog: pytest.LogCaptureFixture) -> None:
    batch, spans, _ = await make(tmp_path / "run", TASKS, "poll", transport)
    assert len(batch.images) == 2 * len(spellings_for(transport))
    assert_hidden(batch, tmp_path / "run", spans, caplog)


@TRANSPORTS
async def test_tasks_that_call_back(
    tmp_path: Path, transport: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Webhook(scheme="none")
    batch, spans, _ = await make(
        tmp_path / "run", ("image", "link", "failed"), "webhook", transport, webhook=hook
    )
    assert len(batch.images) == 2 * len(spellings_for(transport))
    assert_hidden(batch, tmp_path / "run", spans, caplog)


@TRANSPORTS
async def test_batch_jobs(tmp_path: Path, transport: Any, caplog: pytest.LogCaptureFixture) -> None:
    batch, spans, _ = await make(tmp_path / "run", LINES, "batch", transport)
    assert len(batch.images) == 2 * len(spellings_for(transport))
    assert_hidden(batch, tmp_path / "run", spans, caplog)
