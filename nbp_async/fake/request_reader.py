"""Reads requests: whose account pays, and what images are asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from nbp_async.fake import image_spec
from nbp_async.fake.api_errors import ApiError, ApiStyle
from nbp_async.fake.bank import Bank, BankAccount
from nbp_async.fake.chat_api import CHAT, decode_chat
from nbp_async.fake.counters import shortened
from nbp_async.fake.google_address import google_address
from nbp_async.fake.google_request import decode_google
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.json_fields import whole_number
from nbp_async.fake.signing import Scheme, SigningKeys

_OPENAI = frozenset({"/v1/images/generations", "/v1/images/edits", CHAT})
_MOST_FILE = 50_000_000  # bytes of one file of a form
_MOST_FIELD = 200_000
_MOST_BODY = 100_000_000
_LONG_BODY = 16 * 1024  # bytes; in shorter ones no text needs to be shortened


def api_style_of(path: str) -> ApiStyle | None:
    """The API that makes images at this path, or None."""
    if path in _OPENAI:
        return "openai"
    address = google_address(path)
    return "google" if address is not None and address.makes_images else None


def authenticate(request: web.BaseRequest, style: ApiStyle, bank: Bank) -> BankAccount:
    """The account of the request's key; each API refuses a wrong key in its own words.

    Raises:
        ApiError: No key, or an unknown one.
    """
    headers = request.headers
    scheme = "Key " if style == "fal" else "Bearer "
    bearer = headers.get("Authorization", "").removeprefix(scheme).strip()
    google = style in ("google", "interactions")
    key = bearer
    if google:
        key = headers.get("x-goog-api-key") or request.query.get("key") or bearer
    account = bank.accounts.get(key)
    if account is not None:
        return account
    if not google:
        words = f"Incorrect API key provided: {key[:3]}***." if key else "No API key was provided."
        raise ApiError(401, words, code="invalid_api_key")
    if not key:
        words = (
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API."
        )
        raise ApiError(403, words)
    if key == bearer:
        words = (
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
            "cookie or other valid authentication credential."
        )
        raise ApiError(401, words, reason="ACCESS_TOKEN_TYPE_UNSUPPORTED")
    words = "API key not valid. Please pass a valid API key."
    raise ApiError(400, words, reason="API_KEY_INVALID")


async def read_image_request(request: web.BaseRequest) -> tuple[ImageSpec, object]:
    """The images that are asked for; and the document or form, with long texts cut.

    Raises:
        ApiError: The vendor would not take it.
        ConnectionError: The client left in the middle of it.
    """
    address = google_address(request.path)
    if request.path == CHAT:
        document, kept = await read_document(request)
        spec = decode_chat(document)
        image_spec.check_count(spec)
        return spec, kept
    if address is None:
        spec, _, kept = await read_images(request, edit=request.path.endswith("/edits"))
        return spec, kept
    document, kept = await read_document(request)
    stream: image_spec.Stream = ""
    if address.verb == "streamGenerateContent":
        stream = "sse" if request.query.get("alt") == "sse" else "array"
    spec = decode_google(address.model, document, stream)
    image_spec.check_count(spec)
    return spec, kept


async def read_images(
    request: web.BaseRequest, *, edit: bool
) -> tuple[ImageSpec, Mapping[str, object], object]:
    """The same for the images API: the images, the fields, and the fields with long texts cut.

    Raises:
        ApiError: The vendor would not take it.
        ConnectionError: The client left in the middle of it.
    """
    fields: Mapping[str, object]
    kept: object
    if edit and request.content_type != "application/json":
        fields, files = await _read_form(request)
        references, kept = len(files), {**fields, "files": files}
    else:
        fields, kept = await read_document(request)
        references = image_spec.count_references(fields) if edit else 0
    spec = image_spec.decode_openai(fields, references)
    image_spec.check_count(spec)
    return spec, fields, kept


async def read_document(request: web.BaseRequest) -> tuple[dict[str, object], object]:
    """The JSON object in a request's body, and the same with long texts cut.

    Raises:
        ApiError: It is not a JSON object, or too large.
        ConnectionError: The client left in the middle of it.
    """
    body = await read_body(request)
    document = image_spec.decode(body)
    return document, shortened(document) if len(body) > _LONG_BODY else document


async def read_body(request: web.BaseRequest) -> bytes:
    """The bytes of a request's body.

    Raises:
        ApiError: It is too large.
        ConnectionError: The client left in the middle of it.
        aiohttp.web.RequestPayloadError: It is not compressed as its header says.
    """
    content = request.content
    body = await content.readany()
    if content.at_eof():
        return body
    pieces, size = [body], len(body)
    while not content.at_eof():
        pieces.append(await content.readany())
        size += len(pieces[-1])
        if size > _MOST_BODY:
            raise ApiError(413, f"The request is larger than {_MOST_BODY} bytes.")
    return b"".join(pieces)


async def _read_form(request: web.BaseRequest) -> tuple[dict[str, object], dict[str, int]]:
    """The fields of a form, `n` as a number; and its files: name and size in bytes."""
    fields: dict[str, object] = {}
    files: dict[str, int] = {}
    with refusing_bad_forms():
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise ApiError(400, "A form inside a form cannot be read.")
            name = part.name or ""
            if part.filename is None:
                fields[name] = (await _read_part(part, _MOST_FIELD)).decode()
                continue
            size = len(await _read_part(part, _MOST_FILE))
            if name.rstrip("[]") not in ("image", "mask") or not size:
                raise ApiError(400, f"Invalid file '{name}'.", param=name)
            if name != "mask":
                files[f"{len(files)}-{part.filename}"] = size
    if not files:
        words = "Missing required parameter: 'image'."
        raise ApiError(400, words, code="missing_required_parameter", param="image")
    count = whole_number(str(fields.get("n", "")))
    if count is not None:
        fields["n"] = count
    return fields, files


@contextmanager
def refusing_bad_forms() -> Iterator[None]:
    """Turn what aiohttp says of a broken form into the vendor's error.

    Raises:
        ApiError: The form cannot be read.
    """
    try:
        yield
    except (ValueError, LookupError, AssertionError, HttpProcessingError) as exc:
        raise ApiError(400, f"We could not parse your multipart form: {exc}") from None


async def _read_part(part: BodyPartReader, most: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        data += chunk
        if len(data) > most:
            raise ApiError(413, f"'{part.name}' is larger than {most} bytes.")
    return bytes(data)


async def require_signing(keys: SigningKeys, scheme: Scheme) -> None:
    """Refuse a webhook that could not be signed.

    Raises:
        ApiError: A package is missing.
    """
    try:
        await keys.ready(scheme)
    except ImportError:
        words = "Signing this webhook needs the package cryptography: install nbp-async[webhooks]."
        raise ApiError(501, words) from None
