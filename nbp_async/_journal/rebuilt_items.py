"""From lines of a manifest, and names of images, to the items of a rebuilt journal.

| what is there | its item | the next call |
| --- | --- | --- |
| a line with an identity | as it was: stored, answered or failed | knows it |
| a line of an older manifest, without one | its prompt, size and ratio stand for it | names it, sends nothing |
| an image without a line | its place stands for it | names it, sends nothing for that place |

The last two are unclear. The first prompt that fits one takes it over, and is sent again only with
`resend_ambiguous`: which image belongs to which prompt, nobody can know.
"""  # noqa: E501  a table

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast, get_args

import msgspec

from nbp_async._base.http import Billing
from nbp_async._journal import records
from nbp_async._journal.identity import place_identity, prompt_identity
from nbp_async._journal.lost_journal import IMAGE_NAME
from nbp_async._journal.manifest import ManifestLine
from nbp_async._journal.records import ImageRecord, RequestRecord
from nbp_async._journal.salvage import ColumnValues
from nbp_async._models.outcomes import ZERO, Attempt, ImageFormat, Timings

_NOT_KNOWN = "of which prompt it is, is not known"


@dataclass(frozen=True, kw_only=True)
class RebuiltItem:
    """An item, and its attempts; `number` is the item's, if it is known."""

    number: int | None
    columns: ColumnValues
    attempts: list[Attempt]
    stem: str = ""


def item_of_line(line: ManifestLine, path: str) -> RebuiltItem | None:
    """The item of a line; None if it says nothing that the next call must know.

    Args:
        line: The line.
        path: Its image's file, as the journal names it.
    """
    attempts = _attempts_of(line)
    if line.identity:
        return RebuiltItem(
            number=line.item,
            columns=_columns(line, bytes.fromhex(line.identity)) | _ending(line, path),
            attempts=attempts,
        )
    if line.billing == "no":
        return None
    weak = prompt_identity(line.prompt, line.size, line.aspect_ratio, line.references)
    columns = _columns(line, weak)
    if line.state != "stored":
        return RebuiltItem(number=None, columns=columns | _ending(line, path), attempts=attempts)
    columns |= _failure(f"its image may be {path}; its line in the manifest has no identity")
    return RebuiltItem(
        number=None,
        columns=columns,
        attempts=[*attempts, _unclear(len(attempts) + 1)],
        stem=Path(path).stem,
    )


def item_of_image(name: str) -> RebuiltItem:
    """The item of an image that no line speaks of."""
    match = IMAGE_NAME.fullmatch(name)
    assert match is not None, "its name is one of ours"
    place = int(match["place"])
    request = RequestRecord(text=f"(the prompt of {name} is not known)", model="")
    columns = _item(place_identity(place), place, request)
    columns |= _failure(f"an image of this place is there, {name}; {_NOT_KNOWN}")
    return RebuiltItem(
        number=None, columns=columns, attempts=[_unclear(1)], stem=name.rpartition(".")[0]
    )


def newest(lines: Iterable[ManifestLine]) -> list[ManifestLine]:
    """The last line of each item, in the order of their places: earlier ones were overtaken."""
    last: dict[object, ManifestLine] = {}
    for line in lines:
        prompt = (line.index, line.prompt, line.size, line.aspect_ratio)
        if line.item is not None:
            last[line.item] = line
            continue
        last.pop((prompt, ""), None)  # a failure that was made again
        last[prompt, line.sha256] = line
    return sorted(last.values(), key=lambda line: (line.item or 0, line.index))


def is_sound(line: ManifestLine) -> bool:
    """Its values can be read as well as its JSON."""
    try:
        bytes.fromhex(line.identity + line.sha256)
    except ValueError:
        return False
    return line.state != "stored" or line.format in get_args(ImageFormat)


def knows_more(line: ManifestLine, state: object, settled: int) -> bool:
    """The line is of a later time than the old journal, which has this state of the item."""
    return line.attempts > settled or (state == "answered" and line.state == "stored")


def unclear_attempt(number: int) -> Attempt:
    """Stands for attempts that cannot be read: what they cost is not known."""
    return _unclear(number)


def _unclear(number: int) -> Attempt:
    words = f"JournalError: the journal was lost, and {_NOT_KNOWN}."
    return _attempt(number, "maybe", error=words)


def _attempt(
    number: int, billing: Billing, cost: Decimal = ZERO, *, error: str = "", service: float = 0.0
) -> Attempt:
    timings = Timings(queued=0.0, done=service, connecting=0.0 if service else None)
    return Attempt(number, billing, cost, timings, error=error)


def _attempts_of(line: ManifestLine) -> list[Attempt]:
    """As many attempts as it had, which cost the same together. The last one brought the image."""
    charged: list[tuple[Billing, Decimal]] = []
    if line.maybe_usd or line.billing == "maybe":
        charged.append(("maybe", line.maybe_usd))
    if line.spent_usd or line.billing == "yes":
        charged.append(("yes", line.spent_usd))
    free: list[tuple[Billing, Decimal]] = [("no", ZERO)] * (line.attempts - len(charged))
    attempts = [_attempt(n, *one) for n, one in enumerate([*free, *charged], start=1)]
    if attempts:
        timings = Timings(queued=0.0, connecting=line.waited_s, done=line.waited_s + line.service_s)
        error = f"{line.reason}: {line.message}" if line.reason else ""
        attempts[-1] = msgspec.structs.replace(
            attempts[-1],
            timings=timings,
            request_id=line.request_id,
            error=error,
            reduced=line.saved_by_batch_usd,
            unread=line.unread,
            account=line.account_name,
        )
    return attempts


def _columns(line: ManifestLine, identity: bytes) -> ColumnValues:
    width, height = line.width, line.height
    request = RequestRecord(
        text=line.prompt,
        model=line.model,
        size=line.size,
        aspect_ratio=line.aspect_ratio,
        seed=line.seed,
        row=line.row,
        references=("not known",) * line.references,
        pixels=(width, height) if width and height and not line.mismatch else None,
    )
    return _item(identity, line.index, request)


def _item(identity: bytes, place: int, request: RequestRecord) -> ColumnValues:
    return {
        "identity": identity,
        "place": place,
        "nonce": secrets.token_hex(16),
        "asked": msgspec.json.encode(request).decode(),
    }


def _ending(line: ManifestLine, path: str) -> ColumnValues:
    if line.state == "stored":
        return {"state": "stored", "image": msgspec.json.encode(_image(line, path)).decode()}
    links = records.encode_links((line.url,) if line.url else ())
    columns: ColumnValues = {"state": "failed" if links is None else "answered", "links": links}
    if line.ok and links is not None:
        columns |= {"image": msgspec.json.encode(_image(line, "")).decode()}
    return columns | {"expires": line.url_expires, "reason": line.reason, "message": line.message}


def _image(line: ManifestLine, path: str) -> ImageRecord:
    return ImageRecord(
        path=path,
        size=line.size_bytes or 0,
        digest=bytes.fromhex(line.sha256),
        format=cast("ImageFormat", line.format),
        width=line.width or 0,
        height=line.height or 0,
        url=line.url,
        url_expires=line.url_expires,
        model=line.model,
        mismatch=line.mismatch,
        notes=(line.notes,) if line.notes else (),
    )


def _failure(message: str) -> ColumnValues:
    return {"state": "failed", "reason": "JournalError", "message": message}


def digests_of(lines: Iterable[ManifestLine]) -> Iterator[str]:
    """The hashes of the images that these lines are of."""
    return (line.sha256 for line in lines if line.sha256)


def plain_keys(items: Iterable[ColumnValues]) -> Iterator[tuple[object, ...]]:
    """What a line without a number is compared by: the prompt, with its place or its image."""
    for row in items:
        if row["state"] == "planned":
            continue
        text = records.decode_request(str(row["asked"])).text
        yield text, row["place"], row["image"] is not None
        if row["image"] is not None:
            yield text, records.decode_image_record(str(row["image"])).digest.hex()


def plain_keys_of(line: ManifestLine) -> set[tuple[object, ...]]:
    """The same of a line. A failure may have been followed by an image, but not the reverse."""
    stored = (line.prompt, line.index, True)
    if line.state == "stored":
        return {stored, (line.prompt, line.sha256)}
    return {stored, (line.prompt, line.index, False)}
