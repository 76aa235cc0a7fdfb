"""The body of the images API's success as a stream of events: drafts first, then the images.

event: image_generation.partial_image
data: {"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": …}

event: image_generation.completed
data: {"type": "image_generation.completed", "usage": …, "b64_json": …}
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from nbp_async.fake.faults import BadPayload
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.model_table import TokenCount
from nbp_async.fake.payloads import Payload, Pieces, base64_pieces, openai_usage
from nbp_async.fake.pictures import DrawnImage


def event_payload(
    spec: ImageSpec,
    pictures: Sequence[DrawnImage],
    drafts: Sequence[DrawnImage],
    *,
    tokens: TokenCount | None,
    fault: BadPayload | None,
    created: int,
) -> Payload:
    """The body, as server-sent events.

    Args:
        spec: What was asked.
        pictures: The images; none for an answer without.
        drafts: What is shown of them before they are ready.
        tokens: What it reports, in its last event.
        fault: What is wrong with it; "unfinished" lets it end with its drafts.
        created: Seconds since 1970.
    """
    about: dict[str, object] = {
        "created_at": created,
        "size": f"{spec.pixels[0]}x{spec.pixels[1]}",
        "quality": spec.quality,
    }
    what = "image_edit" if spec.references else "image_generation"
    pieces: Pieces = []
    for number, draft in enumerate(drafts):
        fields = {**about, "partial_image_index": number, "output_format": draft.kind}
        pieces += _event(f"{what}.partial_image", fields, draft.base64())
    if fault is not None and fault.what == "unfinished":
        pictures = ()
    for number, picture in enumerate(pictures, start=1):
        fields = {**about, "output_format": picture.kind}
        if number == len(pictures) and tokens is not None:
            fields["usage"] = openai_usage(tokens)
        pieces += _event(f"{what}.completed", fields, base64_pieces(picture, fault))
    return Payload(pieces, "text/event-stream")


def _event(name: str, fields: Mapping[str, object], image: Sequence[bytes]) -> Iterator[bytes]:
    start = msgspec.json.encode({"type": name, **fields})[:-1]
    yield b"event: %b\ndata: %b" % (name.encode(), start)
    yield b',"b64_json":"'
    yield from image
    yield b'"}\n\n'
