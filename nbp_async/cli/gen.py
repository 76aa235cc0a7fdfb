"""`nbp gen`: one prompt, one image or a few."""

import re
from pathlib import Path

import click
from rich.console import Console

from nbp_async import Image, Limits
from nbp_async._models import Via
from nbp_async._words import money, span, weight
from nbp_async.cli import codes
from nbp_async.cli.making import Order, make
from nbp_async.cli.options import vendor_options
from nbp_async.cli.output import people, say
from nbp_async.cli.place import Place

_LONGEST_NAME = 48
_SUFFIXES = {"png": {".png"}, "jpeg": {".jpg", ".jpeg"}, "webp": {".webp"}}


@click.command()
@click.argument("prompt")
@click.option("-o", "--out", "target", type=click.Path(dir_okay=False, path_type=Path),
              help="The file. Default: named after the prompt, in this folder.")  # fmt: skip
@click.option("-n", "count", type=click.IntRange(1, 100), default=1, show_default=True,
              metavar="N", help="Images of this prompt; each is paid for.")  # fmt: skip
@click.option("--aspect-ratio", metavar="W:H", help="16:9 and so on. Default: the model's.")
@click.option("--ref", "references", metavar="FILE|URL", multiple=True,
              help="An image to work from; may be given more than once.")  # fmt: skip
@click.option("--seed", type=int, metavar="N",
              help="For the same image again, where the endpoint honours it.")  # fmt: skip
@vendor_options
def gen(
    prompt: str,
    target: Path | None,
    count: int,
    aspect_ratio: str | None,
    references: tuple[str, ...],
    seed: int | None,
    size: str | None,
    model: str | None,
    endpoint: str | None,
    via: Via | None,
    as_json: bool,
) -> None:
    """Make one image of PROMPT. Its path goes to stdout; what it took and cost, to stderr."""
    for reference in references:
        if not reference.startswith("https://") and not Path(reference).is_file():
            raise codes.Misuse(f"--ref {reference}: no such file. Nothing was sent.")
    console = people()
    asked = {"text": prompt, "n": count, "seed": seed, "references": list(references)}
    order = Order(
        prompts=[asked],
        place=Place(folder=target.parent if target is not None else Path()).made(),
        name=Namer(prompt, target, count, console),
        limits=Limits(max_in_flight=min(count, 50)),
        endpoint=endpoint,
        model=model,
        size=size,
        via=via,
        aspect_ratio=aspect_ratio,
        durable=False,  # each call makes new images, under names of their own
        console=console,
        as_json=as_json,
    )
    codes.run(lambda: make(order))


class Namer:
    """Gives each image the name that was asked for, and says what it is.

    The image is safe in the folder before, under the name that the sink gave it: a crash in
    between leaves it there.
    """

    def __init__(self, prompt: str, target: Path | None, count: int, console: Console) -> None:
        self._prompt = prompt
        self._target = target
        self._count = count
        self._console = console

    def __call__(self, image: Image) -> Path:
        assert image.path is not None
        suffix = image.path.suffix
        target = self._target
        if target is None:
            path = _free(Path(_slug(self._prompt)), suffix)
        else:
            number = f"-{image.index + 1}" if self._count > 1 else ""
            path = target.with_name(f"{target.stem}{number}{target.suffix or suffix}")
        image.path.replace(path)
        if path.suffix.lower() not in _SUFFIXES[image.format]:
            say(self._console, f"{path} holds a {image.format.upper()}, whatever its name says.")
        facts = [
            f"{image.width}x{image.height} {image.format} {weight(image.stored.size)}",
            span(sum(attempt.timings.service for attempt in image.attempts)),
            money(image.cost),
        ]
        facts += [f"id {image.request_id}"] if image.request_id else []
        facts += [image.mismatch] if image.mismatch else []
        say(self._console, " · ".join(facts))
        return path


def _slug(prompt: str) -> str:
    """A file name that a prompt can be known by again: letters, digits and hyphens."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-_")
    return words[:_LONGEST_NAME].rstrip("-_") or "image"


def _free(stem: Path, suffix: str) -> Path:
    """The first name of this stem that no file has."""
    path, number = stem.with_name(stem.name + suffix), 1
    while path.exists():
        number += 1
        path = stem.with_name(f"{stem.name}-{number}{suffix}")
    return path
