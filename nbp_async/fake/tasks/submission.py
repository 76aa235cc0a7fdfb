"""What a submit asks for, read as a service's table says."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.image_spec import ImageSpec, check_count, decode_openai
from nbp_async.fake.json_fields import lookup
from nbp_async.fake.request_reader import read_document, read_images
from nbp_async.fake.tasks.interactions import decode_interaction
from nbp_async.fake.tasks.openai_responses import decode_response
from nbp_async.fake.tasks.replicate_models import model_named
from nbp_async.fake.tasks.service_table import SubmitTable, TaskRoute


class Submission(msgspec.Struct, frozen=True):
    """A submit that was read.

    Attributes:
        spec: The images.
        params: The names in its address.
        callback: Where its webhook goes, or "".
        events: Which events go there; None for the service's own choice.
        kept: The document or form, with long texts shortened.
        held: It is answered with its result, not at once.
    """

    spec: ImageSpec
    params: Mapping[str, str]
    callback: str = ""
    events: tuple[str, ...] | None = None
    kept: object = None
    held: bool = False


async def read_submission(
    reads: SubmitTable, route: TaskRoute, request: web.BaseRequest
) -> Submission:
    """Read a submit.

    Raises:
        ApiError: The vendor would not take it.
        ConnectionError: The client left in the middle of it.
    """
    body: Mapping[str, object]
    if reads.form == "images":
        spec, body, kept = await read_images(request, edit=route.verb == "edit")
    else:
        body, kept = await read_document(request)
        if reads.form == "interactions":
            spec = decode_interaction(body)
        elif reads.form == "responses":
            spec = decode_response(body)
        else:
            spec = _decode_fields(reads, {"body": body, "path": route.params})
    if reads.links:
        spec = msgspec.structs.replace(spec, link=True)
    places = {"body": body, "query": request.query}
    callback = lookup(places, reads.callback)
    events = lookup(places, reads.events)
    return Submission(
        spec,
        route.params,
        callback if isinstance(callback, str) else "",
        tuple(map(str, events)) if isinstance(events, list) else None,
        kept,
        held=route.verb == "run" or (reads.form == "responses" and not body.get("background")),
    )


def _decode_fields(reads: SubmitTable, places: Mapping[str, object]) -> ImageSpec:
    """The images of a service that delivers links, and has size and ratio in two fields."""
    required = reads.object
    if required is not None and not isinstance(lookup(places, f"body.{required.field}"), dict):
        raise ApiError(422, required.missing)
    paths = (reads.model,) if isinstance(reads.model, str) else reads.model
    model = next(filter(None, (lookup(places, path) for path in paths)), None)
    ratio, count = lookup(places, reads.ratio), lookup(places, reads.count)
    fields: dict[str, object] = {
        "model": model_named(str(model or "nano-banana-pro")),
        "prompt": lookup(places, reads.prompt),
        "size": lookup(places, reads.size) or "1K",
        "n": 1 if count is None else count,
        "aspect_ratio": "auto" if ratio in (None, "match_input_image") else ratio,
    }
    format_ = lookup(places, reads.format)
    if format_ is not None:
        fields["output_format"] = "jpeg" if format_ == "jpg" else format_
    references = lookup(places, reads.references)
    spec = decode_openai(fields, len(references) if isinstance(references, list) else 0)
    check_count(spec)
    return msgspec.structs.replace(spec, link=True)
