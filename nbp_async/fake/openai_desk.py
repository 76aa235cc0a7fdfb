"""Where OpenAI's files and batch jobs are handed in and asked for, over HTTP."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from aiohttp import BodyPartReader, web

from nbp_async.fake.answers import Body
from nbp_async.fake.bank import Account, Bank
from nbp_async.fake.faults import Break, Fault, Raw, Refuse
from nbp_async.fake.front import Front, Visit
from nbp_async.fake.odds import Script
from nbp_async.fake.openai_batch import ENDPOINTS, OpenAIBatches, address_of
from nbp_async.fake.openai_job import File, Job
from nbp_async.fake.reading import payer, read_document
from nbp_async.fake.refusals import RefusalError
from nbp_async.fake.settings import Settings
from nbp_async.fake.spool import Spool
from nbp_async.fake.studio import Studio

Serve = Callable[[Visit], Awaitable[web.StreamResponse]]
_MOST_FILE = 200_000_000  # bytes of a file of requests
_CHUNK = 64 * 1024  # bytes


class OpenAIDesk:
    """Serves OpenAI's files and batches.

    Faults that are ordered by `script(fault, match=...)` find these words: "upload NAME", "create
    NAME" and "look at NAME", with the name of the file of requests. Downloads meet those for
    downloads, and lines of a job those that match their prompts.
    """

    def __init__(
        self, settings: Settings, *, bank: Bank, studio: Studio, script: Script, front: Front
    ) -> None:
        self._bank = bank
        self._batches = OpenAIBatches(
            settings, bank=bank, studio=studio, unsettled=front.unsettled, script=script
        )
        self._script = script
        self._front = front

    def abandon(self) -> None:
        """Stop all work: the vendor goes down."""
        self._batches.abandon()

    def find(self, method: str, path: str, headers: Mapping[str, str]) -> Serve | None:
        """What serves this request; None if it is no address of ours.

        Google has the same paths; who shows Google's kind of key means Google's.
        """
        address = address_of(path)
        if address is None or "x-goog-api-key" in headers:
            return None
        kind, name, verb = address
        if kind == "files":
            if method == "POST" and not name:
                return self._upload
            return partial(self._content if verb else self._file, name=name)
        if method == "POST" and not name:
            return self._create
        return partial(self._batch, name=name, verb=verb)

    async def _upload(self, visit: Visit) -> web.StreamResponse:
        account = self._payer(visit)
        spool = Spool()
        try:
            purpose, name = await self._read_form(visit, spool)
        except BaseException:
            spool.close()
            raise
        fault = self._script.take(f"upload {name}")
        if isinstance(fault, Refuse | Break | Raw):
            spool.close()
            return await self._front.instead(visit, fault)
        return await self._say(visit, self._batches.keep(account.key, name, purpose, spool))

    async def _read_form(self, visit: Visit, spool: Spool) -> tuple[str, str]:
        """Purpose and name of a file that is handed in; its bytes go into `spool`."""
        purpose = name = ""
        async for part in await visit.request.multipart():
            if not isinstance(part, BodyPartReader):
                raise RefusalError(400, "The form cannot be read.")
            if part.name == "purpose":
                purpose = await part.text()
            elif part.name == "file":
                name = part.filename or ""
                while data := await part.read_chunk(_CHUNK):
                    spool.append(bytes(data))
                    if spool.size > _MOST_FILE:
                        words = f"A file of requests has at most {_MOST_FILE} bytes."
                        raise RefusalError(413, words)
        if purpose != "batch" or not spool.size:
            raise RefusalError(400, "A file needs bytes and purpose=batch.")
        return purpose, name

    async def _file(self, visit: Visit, name: str) -> web.StreamResponse:
        account, files = self._payer(visit), self._batches.files
        if not name:
            data = [file.document() for file in files.values() if file.account == account.key]
            return await self._say(visit, {"object": "list", "data": data[::-1], "has_more": False})
        file = self._batches.file(name, account)
        if visit.request.method == "DELETE":
            self._batches.delete(file)
            return await self._say(visit, {"id": name, "object": "file", "deleted": True})
        return await self._say(visit, file)

    async def _content(self, visit: Visit, name: str) -> web.StreamResponse:
        """The bytes of a file, made as they go."""
        file = self._batches.file(name, self._payer(visit))
        kind, fault = "application/octet-stream", self._script.take_download()
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        if fault is not None:
            whole = Body([piece for pieces in file.content() for piece in pieces], kind)
            return (await self._front.send(visit, 200, whole, fault)).response
        sent = await self._front.stream(visit, kind, file.size, file.content())
        if file.job is not None and name == file.job.output and sent.delivered:
            self._batches.handed(file.job, delivered=True)
        return sent.response

    async def _create(self, visit: Visit) -> web.StreamResponse:
        account = self._payer(visit)
        document, _ = await read_document(visit.request)
        if document.get("endpoint") not in ENDPOINTS:
            raise RefusalError(400, f"endpoint is one of {', '.join(ENDPOINTS)}.")
        if document.get("completion_window") != "24h":
            raise RefusalError(400, "completion_window is 24h.")
        file = self._batches.file(str(document.get("input_file_id")), account)
        fault = self._script.take(f"create {file.name}")
        if fault is not None and _comes_first(fault):
            return await self._front.instead(visit, fault)
        endpoint = str(document["endpoint"])
        job = await self._batches.create(account, file, endpoint, document.get("metadata"))
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        return await self._say(visit, job)

    async def _batch(self, visit: Visit, name: str, verb: str) -> web.StreamResponse:
        account = self._payer(visit)
        if not name:
            return await self._list(visit, account)
        job = self._batches.job(name, account)
        if verb == "cancel":
            self._batches.cancel(job)
            return await self._say(visit, job)
        fault = self._script.take(f"look at {job.file.name}")
        if isinstance(fault, Refuse | Break | Raw):
            return await self._front.instead(visit, fault)
        return await self._say(visit, job)

    async def _list(self, visit: Visit, account: Account) -> web.StreamResponse:
        query = visit.request.query
        size = int(query["limit"]) if query.get("limit", "").isdigit() else 20
        jobs = [job for job in self._batches.jobs.values() if job.account is account][::-1]
        names = [job.id for job in jobs]
        after = query.get("after")
        start = names.index(after) + 1 if after in names else 0
        page = jobs[start : start + size]
        return await self._say(visit, {
            "object": "list", "data": [job.document() for job in page],
            "first_id": page[0].id if page else None, "last_id": page[-1].id if page else None,
            "has_more": start + size < len(jobs),
        })  # fmt: skip

    async def _say(self, visit: Visit, what: object) -> web.StreamResponse:
        document = what.document() if isinstance(what, Job | File) else what
        return await self._front.say(visit, 200, msgspec.json.encode(document))

    def _payer(self, visit: Visit) -> Account:
        visit.account = account = payer(visit.request, "openai", self._bank)
        return account


def _comes_first(fault: Fault) -> bool:
    """It is met before the job is made."""
    if isinstance(fault, Refuse):
        return not fault.billed
    return isinstance(fault, Break | Raw) and fault.before
