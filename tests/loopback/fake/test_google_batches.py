"""Google's files and batches: half price, and results in an order of their own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from nbp_async.fake import FakeServer, faults, google_batches

pytestmark = pytest.mark.looptime

KEY = "sk-fake-batches"
HALF = Decimal("0.067")
MODEL = "gemini-3-pro-image"


class GoogleClient:
    """Calls the API with plain HTTP."""

    def __init__(self, server: FakeServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        heads = {"x-goog-api-key": KEY} | {name.replace("_", "-"): v for name, v in headers.items()}
        url = path if path.startswith("http") else self.server.base_url + path
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        async with self._session.request(method, url, data=data, headers=heads) as reply:
            text = await reply.read()
            is_json = reply.content_type == "application/json"
            return reply.status, dict(reply.headers), json.loads(text) if is_json else text

    async def upload(
        self, data: bytes, name: str = "jobs", chunk: int = 1000, begun: list[str] | None = None
    ) -> str:
        _, heads, _ = await self.ask(
            "POST",
            "/upload/v1beta/files",
            {"file": {"displayName": name}},
            X_Goog_Upload_Protocol="resumable",
            X_Goog_Upload_Command="start",
            X_Goog_Upload_Header_Content_Length=str(len(data)),
        )
        url, said = heads["X-Goog-Upload-URL"], {}
        if begun is not None:
            begun.append(url)
        for start in range(0, len(data), chunk):
            last = start + chunk >= len(data)
            status, _, said = await self.ask(
                "POST",
                url,
                data[start : start + chunk],
                X_Goog_Upload_Offset=str(start),
                X_Goog_Upload_Command="upload, finalize" if last else "upload",
            )
            assert status == 200, said
        return str(said["file"]["name"])

    async def create(self, config: dict[str, Any], name: str = "one") -> Any:
        body = {"batch": {"displayName": name, "inputConfig": config}}
        return await self.ask("POST", f"/v1beta/models/{MODEL}:batchGenerateContent", body)

    async def wait_until_over(self, name: str) -> Any:
        while True:
            _, _, job = await self.ask("GET", f"/v1beta/{name}")
            if job.get("done"):
                return job
            await asyncio.sleep(30)


@asynccontextmanager
async def vendor(**options: Any) -> AsyncIterator[GoogleClient]:
    async with (
        FakeServer(keys=[KEY], **options) as server,
        aiohttp.ClientSession() as session,
    ):
        yield GoogleClient(server, session)


def request(prompt: str) -> dict[str, Any]:
    return {
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": {"imageSize": "1K"}},
    }


def jsonl(count: int) -> bytes:
    lines = [{"key": f"k{n}", "request": request(f"p{n}")} for n in range(count)]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def test_a_job_of_a_file_costs_half_and_has_a_file_of_results_in_its_own_order() -> None:
    async with vendor() as v:
        file = await v.upload(jsonl(20))
        status, _, job = await v.create({"fileName": file})
        assert (status, job["metadata"]["state"]) == (200, "BATCH_STATE_PENDING")
        await asyncio.sleep(200)
        _, _, running = await v.ask("GET", f"/v1beta/{job['name']}")
        assert running["metadata"]["batchStats"]["requestCount"] == "20", "counts are strings"
        done = await v.wait_until_over(job["name"])
        assert done["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"
        results = done["response"]["responsesFile"]
        _, _, text = await v.ask("GET", f"/download/v1beta/{results}:download?alt=media")
        lines = [json.loads(line) for line in text.splitlines()]
        keys = [line["key"] for line in lines]
        assert sorted(keys) == sorted(f"k{n}" for n in range(20))
        assert keys != [f"k{n}" for n in range(20)], "the order is not ours"
        assert all(line["response"]["candidates"] for line in lines)
        bank = v.server.bank
        assert (bank.images, bank.lost) == (20, 0)
        assert bank.billed == pytest.approx(20 * HALF, rel=Decimal("0.05"))
        assert {entry.delivered for entry in bank.ledger} == {True}


async def test_inline_requests_are_answered_inline() -> None:
    async with vendor(batch_prefix="JOB_STATE_") as v:
        entries = [{"request": request(f"p{n}"), "metadata": {"key": f"k{n}"}} for n in range(8)]
        _, _, job = await v.create({"requests": {"requests": entries}})
        done = await v.wait_until_over(job["name"])
        assert done["metadata"]["state"] == "JOB_STATE_SUCCEEDED"
        found = done["response"]["inlinedResponses"]["inlinedResponses"]
        assert {one["metadata"]["key"] for one in found} == {f"k{n}" for n in range(8)}
        assert v.server.bank.lost == 0


async def test_metadata_comes_back_whole_and_counts_of_zero_are_left_out() -> None:
    notes = [{"key": f"k{n}", "sku": f"A-{n}", "more": {"shelf": n}} for n in range(3)]
    async with vendor() as v:
        entries = [{"request": request(f"p{n}"), "metadata": note} for n, note in enumerate(notes)]
        _, _, job = await v.create({"requests": {"requests": entries}})
        done = await v.wait_until_over(job["name"])
        found = done["response"]["inlinedResponses"]["inlinedResponses"]
        assert sorted((one["metadata"] for one in found), key=lambda note: note["key"]) == notes
        counts = {"requestCount": "3", "successfulRequestCount": "3"}
        assert done["metadata"]["batchStats"] == counts


async def test_inline_requests_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google_batches, "MOST_INLINE", 700)
    async with vendor() as v:
        entries = [{"request": request(f"p{n}"), "metadata": {"key": f"k{n}"}} for n in range(8)]
        assert (await v.create({"requests": {"requests": entries[:2]}}))[0] == 200
        assert (await v.create({"requests": {"requests": entries}}))[0] == 400


async def test_the_bytes_of_a_cut_piece_stay() -> None:
    async with vendor() as v:
        data = jsonl(40)
        v.server.script(faults.ok(), faults.cut_upload(0.25), match="piece of jobs")
        v.server.script(faults.status(503), faults.ok(), match="query of jobs")
        urls: list[str] = []
        with pytest.raises(aiohttp.ClientError):
            await v.upload(data, begun=urls)
        assert (await v.ask("POST", urls[0], X_Goog_Upload_Command="query"))[0] == 503
        _, heads, _ = await v.ask("POST", urls[0], X_Goog_Upload_Command="query")
        assert heads["X-Goog-Upload-Status"] == "active"
        assert heads["X-Goog-Upload-Size-Received"] == "1250"


async def test_lines_fail_on_their_own_and_cost_nothing() -> None:
    async with vendor() as v:
        v.server.script(faults.status(500), match="p3")
        v.server.script(faults.blocked(), match="p4")
        lines = jsonl(6) + b'{"key":"bad","request":{"contents":[]}}\n'
        _, _, job = await v.create({"fileName": await v.upload(lines)})
        done = await v.wait_until_over(job["name"])
        assert done["metadata"]["batchStats"]["failedRequestCount"] == "2"
        results = done["response"]["responsesFile"]
        _, _, text = await v.ask("GET", f"/v1beta/{results}:download?alt=media")
        found = {line["key"]: line for line in map(json.loads, text.splitlines())}
        assert found["k3"]["error"]["code"] == 500
        assert found["bad"]["error"]["code"] == 400
        assert "candidates" not in found["k4"]["response"] or not v.server.bank.billed_for("p4")
        assert v.server.bank.images == 4


@pytest.mark.parametrize("first", [True, False])
async def test_making_a_job_is_not_idempotent(first: bool) -> None:
    """A disconnect before the work makes no job; one after it makes a job without an answer."""
    async with vendor() as v:
        v.server.script(faults.disconnect(before=first), match="create one")
        file = await v.upload(jsonl(3))
        with pytest.raises(aiohttp.ClientError):
            await v.create({"fileName": file})
        _, _, listed = await v.ask("GET", "/v1beta/batches")
        names = [job["metadata"]["displayName"] for job in listed.get("operations", [])]
        assert names == ([] if first else ["one"])
        _, _, job = await v.create({"fileName": file})
        await v.wait_until_over(job["name"])
        await v.server.drain()
        assert v.server.bank.images == (3 if first else 6)


async def test_a_job_that_takes_too_long_expires_with_nothing() -> None:
    async with vendor(batch_latency=200_000) as v:
        _, _, job = await v.create({"fileName": await v.upload(jsonl(3))})
        await asyncio.sleep(172_000)
        done = await v.wait_until_over(job["name"])
        assert done["metadata"]["state"] == "BATCH_STATE_EXPIRED"
        assert done["error"]["code"] == 4
        assert v.server.bank.billed == 0
        assert 172_000 < asyncio.get_running_loop().time() < 174_000


async def test_a_cancelled_job_stops_where_it_is() -> None:
    async with vendor(batch_latency=1000) as v:
        _, _, job = await v.create({"fileName": await v.upload(jsonl(10))})
        await asyncio.sleep(560)
        assert (await v.ask("POST", f"/v1beta/{job['name']}:cancel", {}))[0] == 200
        done = await v.wait_until_over(job["name"])
        assert done["metadata"]["state"] == "BATCH_STATE_CANCELLED"
        await asyncio.sleep(2000)
        bank = v.server.bank
        assert bank.images == 5, "half of it was rendered, and is charged"
        assert bank.lost == 5
        assert (await v.ask("DELETE", f"/v1beta/{job['name']}"))[0] == 200
        assert (await v.ask("GET", f"/v1beta/{job['name']}"))[0] == 404


async def test_jobs_and_waiting_requests_are_limited() -> None:
    async with vendor(batch_jobs=2, batch_enqueued=25) as v:
        file = await v.upload(jsonl(10))
        made = [(await v.create({"fileName": file}, str(n)))[0] for n in range(3)]
        assert made == [200, 200, 429]
    async with vendor(batch_enqueued=15) as v:
        file = await v.upload(jsonl(10))
        made = [(await v.create({"fileName": file}, str(n)))[0] for n in range(2)]
        assert made == [200, 429]


async def test_jobs_of_a_key_are_listed_by_page() -> None:
    async with vendor() as v:
        file = await v.upload(jsonl(1))
        for n in range(5):
            await v.create({"fileName": file}, f"job {n}")
        seen, token = [], ""
        while True:
            _, _, page = await v.ask("GET", f"/v1beta/batches?pageSize=2&pageToken={token}")
            seen += [job["metadata"]["displayName"] for job in page["operations"]]
            token = page.get("nextPageToken", "")
            if not token:
                break
        assert sorted(seen) == [f"job {n}" for n in range(5)]


async def test_a_cut_upload_can_be_resumed() -> None:
    async with vendor() as v:
        data = jsonl(20)
        v.server.script(faults.ok(), faults.reset(before=True), match="piece of")
        with pytest.raises(aiohttp.ClientError):
            await v.upload(data)
        _, heads, _ = await v.ask(
            "POST",
            "/upload/v1beta/files",
            {"file": {"displayName": "again"}},
            X_Goog_Upload_Command="start",
            X_Goog_Upload_Header_Content_Length=str(len(data)),
        )
        url = heads["X-Goog-Upload-URL"]
        await v.ask(
            "POST", url, data[:1000], X_Goog_Upload_Offset="0", X_Goog_Upload_Command="upload"
        )
        status, _, said = await v.ask(
            "POST", url, b"x", X_Goog_Upload_Offset="5", X_Goog_Upload_Command="upload"
        )
        assert status == 400, said
        _, heads, _ = await v.ask("POST", url, X_Goog_Upload_Command="query")
        assert heads["X-Goog-Upload-Size-Received"] == "1000"
        status, _, said = await v.ask(
            "POST",
            url,
            data[1000:],
            X_Goog_Upload_Offset="1000",
            X_Goog_Upload_Command="upload, finalize",
        )
        assert (status, said["file"]["sizeBytes"]) == (200, str(len(data)))


async def test_files_expire_after_two_days_and_belong_to_their_key() -> None:
    now = 1_000_000.0
    async with vendor(clock=lambda: now) as v:
        file = await v.upload(jsonl(1))
        assert (await v.ask("GET", f"/v1beta/{file}"))[0] == 200
        assert (await v.ask("GET", "/v1beta/files"))[2]["files"][0]["name"] == file
        now += 48 * 3600
        assert (await v.ask("GET", f"/v1beta/{file}"))[0] == 403
        assert (await v.create({"fileName": file}))[0] == 403


async def test_a_fault_can_mix_up_results() -> None:
    async with vendor() as v:
        mixed = faults.mixed_results(missing=1, unknown=2, twice=3)
        v.server.script(mixed, match="create one")
        _, _, job = await v.create({"fileName": await v.upload(jsonl(10))})
        done = await v.wait_until_over(job["name"])
        _, _, text = await v.ask(
            "GET", f"/v1beta/{done['response']['responsesFile']}:download?alt=media"
        )
        keys = [json.loads(line)["key"] for line in text.splitlines()]
        assert len(keys) == 9 + 2 + 3
        assert len({key for key in keys if key.startswith("k")}) == 9
        assert v.server.bank.images == 10
