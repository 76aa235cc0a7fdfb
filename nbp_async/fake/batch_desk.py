"""Where files and batch jobs are handed in and asked for, over HTTP."""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from aiohttp import web

from nbp_async.fake.answers import Body
from nbp_async.fake.bank import Account, Bank
from nbp_async.fake.batch_job import batch_of, create_of
from nbp_async.fake.counters import Counters
from nbp_async.fake.faults import Break, Cut, Fault, Mixed, Raw, Refuse, reset
from nbp_async.fake.files import Files, Upload, file_of, upload_of
from nbp_async.fake.front import Front, Visit
from nbp_async.fake.gemini_batch import Batches, hook_of
from nbp_async.fake.odds import Script
from nbp_async.fake.reading import able_to_sign, payer, read_document
from nbp_async.fake.refusals import RefusalError
from nbp_async.fake.signing import Keys

Serve = Callable[[Visit], Awaitable[web.StreamResponse]]
_MOST_CHUNK = 64 * 1024 * 1024  # bytes of one piece of an upload
_PAGE = 50


class BatchDesk:
    """Serves Google's files and batches.

    Faults that are ordered by `script(fault, match=...)` find these words, with the display name:
    "upload NAME", "piece of NAME", "query of NAME", "create NAME" and "look at NAME". Downloads of
    results meet those for downloads, and lines of a job those that match their prompts.
    """

    def __init__(
        self, *, bank: Bank, files: Files, batches: Batches, script: Script, counters: Counters,
        front: Front, root: str, keys: Keys,
    ) -> None:  # fmt: skip
        self._keys = keys
        self._bank = bank
        self._files = files
        self._batches = batches
        self._script = script
        self._counters = counters
        self._front = front
        self._root = root

    def find(self, method: str, path: str) -> Serve | None:
        """What serves this request; None if it is no address of ours."""
        if not path.startswith(("/v1", "/upload/", "/download/")):
            return None
        model = create_of(path)
        if model is not None and method == "POST":
            return partial(self._create, model=model)
        upload = upload_of(path)
        if upload is not None and method in ("POST", "PUT"):
            return partial(self._upload, name=upload) if upload else self._begin
        batch = batch_of(path)
        if batch is not None:
            return partial(self._batch, name=batch[0], verb=batch[1] or method)
        file = file_of(path)
        if file is None:
            return None
        name, content = file
        return partial(self._download if content else self._file, name=name)

    async def _begin(self, visit: Visit) -> web.StreamResponse:
        account, headers = self._payer(visit), visit.request.headers
        document = msgspec.json.decode(await visit.request.read() or b"{}")
        about = document.get("file") if isinstance(document, dict) else None
        about = about if isinstance(about, dict) else {}
        size = headers.get("X-Goog-Upload-Header-Content-Length", "")
        mime = headers.get("X-Goog-Upload-Header-Content-Type", "application/octet-stream")
        display = str(about.get("displayName") or about.get("display_name") or "")
        fault = self._script.take(f"upload {display}")
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        length = int(size) if size.isdigit() else None
        name = self._files.begin(account, length, str(about.get("mimeType") or mime), display)
        heads = {
            "X-Goog-Upload-Status": "active",
            "X-Goog-Upload-URL": f"{self._root}/upload/v1beta/files/{name}",
            "X-Goog-Upload-Chunk-Granularity": "262144",
        }
        return await self._front.say(visit, 200, b"{}", heads)

    async def _upload(self, visit: Visit, name: str) -> web.StreamResponse:
        upload = self._files.upload(name)
        headers = visit.request.headers
        command = headers.get("X-Goog-Upload-Command", "")
        if command == "query":
            return await self._tell(visit, upload)
        fault: Fault | None = None
        if "upload" in command:
            fault = self._script.take(f"piece of {upload.display}")
            if _comes_first(fault):
                assert fault is not None
                await self._receive(visit, None)
                return await self._front.instead(visit, fault)
            await self._receive(visit, upload, fault.at if isinstance(fault, Cut) else 1.0)
        if isinstance(fault, Cut):
            return await self._front.instead(visit, reset())
        file = self._files.finalize(upload) if "finalize" in command else None
        if isinstance(fault, Break | Raw):
            return await self._front.instead(visit, fault)
        if file is None:
            return await self._front.say(visit, 200, b"{}", {"X-Goog-Upload-Status": "active"})
        body = msgspec.json.encode({"file": file.document(self._root)})
        return await self._front.say(visit, 200, body, {"X-Goog-Upload-Status": "final"})

    async def _tell(self, visit: Visit, upload: Upload) -> web.StreamResponse:
        """How much of it has arrived."""
        fault = self._script.take(f"query of {upload.display}")
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        heads = {
            "X-Goog-Upload-Status": "active" if upload.final is None else "final",
            "X-Goog-Upload-Size-Received": str(upload.spool.size),
        }
        return await self._front.say(visit, 200, b"{}", heads)

    async def _receive(self, visit: Visit, upload: Upload | None, share: float = 1.0) -> None:
        """Take a piece as it comes; what of it is here when the client leaves stays.

        Raises:
            RefusalError: It is too large, or not the next one.
            ConnectionError: The client left in the middle of it.
        """
        request = visit.request
        given = request.headers.get("X-Goog-Upload-Offset", "")
        at = int(given) if given.isdigit() else -1
        left = int((request.content_length or 0) * share) if share < 1 else _MOST_CHUNK
        if upload is not None:
            self._files.append(upload, at, b"")
        while (left or share >= 1) and (data := await request.content.readany()):
            if share >= 1 and len(data) > left:
                raise RefusalError(413, f"A piece has at most {_MOST_CHUNK} bytes.")
            if upload is not None:
                self._files.append(upload, at, data[:left])
            at += len(data[:left])
            left -= len(data[:left])

    async def _create(self, visit: Visit, model: str) -> web.StreamResponse:
        account = self._payer(visit)
        document, kept = await read_document(visit.request)
        self._counters.record(visit.request.path, visit.request.headers, kept, 0.0)
        batch = document.get("batch")
        batch = batch if isinstance(batch, dict) else {}
        display = str(batch.get("displayName") or batch.get("display_name") or "")
        fault = self._script.take(f"create {display}")
        if _comes_first(fault):
            assert fault is not None
            return await self._front.instead(visit, fault)
        if hook_of(document):
            await able_to_sign(self._keys, "google")
        mixed = fault if isinstance(fault, Mixed) else None
        size = visit.request.content_length or 0
        job = await self._batches.create(account, model, document, mixed, size=size)
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        body = Body(self._batches.document(job, results=False))
        return (await self._front.send(visit, 200, body, fault)).response

    async def _batch(self, visit: Visit, name: str, verb: str) -> web.StreamResponse:
        account = self._payer(visit)
        self._counters.looked(0.0)
        if not name:
            return await self._list(visit, account)
        job = self._batches.find(name, account)
        if verb == "cancel":
            self._batches.cancel(job)
            return await self._front.say(visit, 200, b"{}")
        if verb in ("delete", "DELETE"):
            self._batches.delete(job)
            return await self._front.say(visit, 200, b"{}")
        fault = self._script.take(f"look at {job.display}")
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        body = Body(self._batches.document(job, results=True))
        sent = await self._front.send(visit, 200, body, fault)
        if job.state == "SUCCEEDED" and not job.results:
            self._batches.handed(job, delivered=sent.delivered)
        return sent.response

    async def _list(self, visit: Visit, account: Account) -> web.StreamResponse:
        query = visit.request.query
        size = int(query.get("pageSize") or _PAGE)
        start = int(query.get("pageToken") or 0)
        jobs = self._batches.of(account)
        page = [
            msgspec.Raw(b"".join(self._batches.document(job, results=False)))
            for job in jobs[start : start + size]
        ]
        answer: dict[str, object] = {"operations": page} if page else {}
        if start + size < len(jobs):
            answer["nextPageToken"] = str(start + size)
        return await self._front.say(visit, 200, msgspec.json.encode(answer))

    async def _file(self, visit: Visit, name: str) -> web.StreamResponse:
        account = self._payer(visit)
        if not name:
            files = [file.document(self._root) for file in self._files.of(account)]
            return await self._front.say(visit, 200, msgspec.json.encode({"files": files}))
        if visit.request.method == "DELETE":
            self._files.delete(name, account)
            return await self._front.say(visit, 200, b"{}")
        body = msgspec.json.encode(self._files.find(name, account).document(self._root))
        return await self._front.say(visit, 200, body)

    async def _download(self, visit: Visit, name: str) -> web.StreamResponse:
        """The bytes of a file, made as they go: they may be gigabytes."""
        account = self._payer(visit)
        file = self._files.find(name, account)
        fault = self._script.take_download()
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        if fault is not None:
            whole = Body([piece for pieces in file.content() for piece in pieces], file.mime)
            sent = await self._front.send(visit, 200, whole, fault)
            return sent.response
        sent = await self._front.stream(visit, file.mime, file.size, file.content())
        job = next((job for job in self._batches.of(account) if job.results == name), None)
        if job is not None and sent.delivered:
            self._batches.handed(job, delivered=True)
        return sent.response

    def _payer(self, visit: Visit) -> Account:
        visit.account = account = payer(visit.request, "google", self._bank)
        return account


def _comes_first(fault: Fault | None) -> bool:
    """It is met before the job is made."""
    if isinstance(fault, Refuse):
        return not fault.billed
    return isinstance(fault, Break | Raw) and fault.before
