"""From a request to who pays and what is asked."""

import re
from collections.abc import Mapping

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from nbp_async.fake import asks
from nbp_async.fake.asks import Ask
from nbp_async.fake.bank import Account, Bank
from nbp_async.fake.counters import shortened
from nbp_async.fake.refusals import RefusalError, Voice
from nbp_async.fake.signing import Keys, Scheme

_GENERATE = re.compile(r"/(?:v1beta|v1alpha|v1)/models/([^/:]+):generateContent")
_OPENAI = frozenset({"/v1/images/generations", "/v1/images/edits"})
_MOST_FILE = 50_000_000  # bytes of one file of a form
_MOST_FIELD = 200_000
_MOST_BODY = 100_000_000
_LONG_BODY = 16 * 1024  # bytes; in shorter ones no text needs to be shortened


def voice_of(path: str) -> Voice | None:
    """Whose API makes images at this path, or None."""
    if path in _OPENAI:
        return "openai"
    return "google" if _GENERATE.fullmatch(path) else None


def payer(request: web.BaseRequest, voice: Voice, bank: Bank) -> Account:
    """The account of the request's key; each API refuses a wrong one in its own way.

    Raises:
        RefusalError: No key, or an unknown one.
    """
    headers = request.headers
    scheme = "Key " if voice == "fal" else "Bearer "
    bearer = headers.get("Authorization", "").removeprefix(scheme).strip()
    google = voice in ("google", "interactions")
    key = headers.get("x-goog-api-key") or bearer if google else bearer
    account = bank.accounts.get(key)
    if account is not None:
        return account
    if not google:
        words = f"Incorrect API key provided: {key[:3]}***." if key else "No API key was provided."
        raise RefusalError(401, words, code="invalid_api_key")
    if not key:
        raise RefusalError(403, "Method doesn't allow unregistered callers. Please use an API key.")
    if key == bearer:
        raise RefusalError(401, "Request had invalid authentication credentials.")
    words = "API key not valid. Please pass a valid API key."
    raise RefusalError(400, words, reason="API_KEY_INVALID")


async def read_ask(request: web.BaseRequest) -> tuple[Ask, object]:
    """What is asked; and the document or form it was asked in, fit to be kept.

    Raises:
        RefusalError: The vendor would not take it.
        ConnectionError: The client left in the middle of it.
    """
    google = _GENERATE.fullmatch(request.path)
    if google is None:
        ask, _, kept = await read_images(request, edit=request.path.endswith("/edits"))
        return ask, kept
    document, kept = await read_document(request)
    ask = asks.read_google(google[1], document)
    asks.check_count(ask)
    return ask, kept


async def read_images(
    request: web.BaseRequest, *, edit: bool
) -> tuple[Ask, Mapping[str, object], object]:
    """The same for the images API: what is asked, its fields, and what is fit to be kept.

    Raises:
        RefusalError: The vendor would not take it.
        ConnectionError: The client left in the middle of it.
    """
    fields: Mapping[str, object]
    kept: object
    if edit and request.content_type != "application/json":
        fields, files = await _read_form(request)
        references, kept = len(files), {**fields, "files": files}
    else:
        fields, kept = await read_document(request)
        references = asks.read_references(fields) if edit else 0
    ask = asks.read_openai(fields, references)
    asks.check_count(ask)
    return ask, fields, kept


async def read_document(request: web.BaseRequest) -> tuple[dict[str, object], object]:
    """The JSON object in a request's body, and the same fit to be kept.

    Raises:
        RefusalError: It is none, or too large.
        ConnectionError: The client left in the middle of it.
    """
    body = await _read_body(request)
    document = asks.decode(body)
    return document, shortened(document) if len(body) > _LONG_BODY else document


async def _read_body(request: web.BaseRequest) -> bytes:
    content = request.content
    body = await content.readany()
    if content.at_eof():
        return body
    pieces, size = [body], len(body)
    while not content.at_eof():
        pieces.append(await content.readany())
        size += len(pieces[-1])
        if size > _MOST_BODY:
            raise RefusalError(413, f"The request is larger than {_MOST_BODY} bytes.")
    return b"".join(pieces)


async def _read_form(request: web.BaseRequest) -> tuple[dict[str, object], dict[str, int]]:
    """The fields of a form, `n` as a number; and its files by name and size in bytes."""
    fields: dict[str, object] = {}
    files: dict[str, int] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise RefusalError(400, "A form within a form is not understood.")
            name = part.name or ""
            if part.filename is None:
                fields[name] = (await _read_part(part, _MOST_FIELD)).decode()
                continue
            size = len(await _read_part(part, _MOST_FILE))
            if name.rstrip("[]") not in ("image", "mask") or not size:
                raise RefusalError(400, f"Invalid file '{name}'.", param=name)
            if name != "mask":
                files[f"{len(files)}-{part.filename}"] = size
    except (ValueError, AssertionError, HttpProcessingError) as exc:
        raise RefusalError(400, f"We could not parse your multipart form: {exc}") from None
    if not files:
        words = "Missing required parameter: 'image'."
        raise RefusalError(400, words, code="missing_required_parameter", param="image")
    if str(fields.get("n", "")).isdigit():
        fields["n"] = int(str(fields["n"]))
    return fields, files


async def _read_part(part: BodyPartReader, most: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        data += chunk
        if len(data) > most:
            raise RefusalError(413, f"'{part.name}' is larger than {most} bytes.")
    return bytes(data)


async def able_to_sign(keys: Keys, scheme: Scheme) -> None:
    """Refuse what could not be signed.

    Raises:
        RefusalError: A package is missing.
    """
    try:
        await keys.ready(scheme)
    except ImportError:
        words = "This fake signs such webhooks with cryptography: install nbp-async[webhooks]."
        raise RefusalError(501, words) from None
