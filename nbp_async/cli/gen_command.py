"""`nbp gen`: one prompt, one image or a few."""

import itertools
import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from nbp_async import Image, Limits, PromptFile
from nbp_async.cli import exit_codes
from nbp_async.cli.destination import Destination
from nbp_async.cli.make_images import MakeOptions, make_images
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.cli.shared_options import (
    ServiceOptions,
    answer_options,
    service_options,
    tier_option,
    via_option,
)
from nbp_async.cli.value_completion import complete_file, complete_ratio
from nbp_async.display.formats import format_bytes, format_dollars, format_seconds

_LONGEST_NAME = 48
_MOST_IN_FLIGHT = 50
STDIN = "-"
_JPEG_SUFFIXES = {".jpg", ".jpeg"}


@click.command()
@click.argument("prompt")
@click.option(
    "-o",
    "--out",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file, which must not exist. Default: named after the prompt, in this folder.",
)
@click.option("--force", is_flag=True, help="Replace the file of -o if it exists.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="Images of this prompt; each is paid for.",
)
@click.option(
    "--aspect-ratio",
    metavar="W:H",
    shell_complete=complete_ratio,
    help="16:9 and so on. Default: the model's.",
)
@click.option(
    "--ref",
    "references",
    metavar="FILE|URL",
    multiple=True,
    shell_complete=complete_file,
    help="An image to work from; may be given more than once.",
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="For the same image again, where the endpoint supports it.",
)
@via_option("held", "poll", "batch")
@tier_option
@answer_options
@service_options
def gen(
    prompt: str,
    target: Path | None,
    force: bool,
    count: int,
    references: tuple[str, ...],
    seed: int | None,
    service: ServiceOptions,
    as_json: bool,
    **call: Any,
) -> None:
    """Make one image of PROMPT (- for stdin). Its path goes to stdout, time and cost to stderr.

    From stdin all text is one prompt; `nbp many -` makes an image of each line.
    """
    for reference in references:
        if not reference.startswith("https://") and not Path(reference).is_file():
            raise exit_codes.InvalidUseError(
                f"--ref {reference}: there is no such file. Nothing was sent."
            )
    console = stderr_console()
    prompt = _given_prompt(prompt, console)
    name = ImageNamer(prompt, target, count, console, force=force)
    taken = None if force else next(filter(os.path.lexists, name.targets), None)
    if taken is not None:
        raise exit_codes.InvalidUseError(
            f"{taken} exists: name another file, or replace it with --force. Nothing was sent."
        )
    options = MakeOptions(
        prompts=[{"text": prompt, "n": count, "seed": seed, "references": list(references)}],
        destination=Destination(folder=target.parent if target is not None else Path()).created(),
        name=name,
        limits=Limits(max_in_flight=min(count, _MOST_IN_FLIGHT)),
        call=call,
        service=service,
        durable=False,  # each run of the command makes new images, with names of their own
        console=console,
        as_json=as_json,
    )
    exit_codes.run(lambda: make_images(options))


def _given_prompt(prompt: str, console: Console) -> str:
    """The prompt, or all the text on stdin."""
    if prompt != STDIN:
        _refuse_file(prompt)
        return prompt
    if sys.stdin.isatty():
        print_line(console, "Type the prompt; Enter and Ctrl-D end it.")
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise exit_codes.InvalidUseError("stdin is not UTF-8. Nothing was sent.") from None
    if not text:
        raise exit_codes.InvalidUseError("stdin holds no prompt. Nothing was sent.")
    return text


def _refuse_file(prompt: str) -> None:
    ending = Path(prompt).suffix.lower().removeprefix(".")
    if ending in PromptFile.FORMATS and os.path.lexists(prompt):
        raise exit_codes.InvalidUseError(
            f"{prompt} is a file: nbp many {shlex.quote(prompt)} --out DIR makes an image of each "
            "prompt in it. Nothing was sent."
        )


class ImageNamer:
    """Renames the file of each image, and prints its size, time and cost.

    The image is stored in the same folder before, under a name that the sink chose: a crash before
    the renaming leaves it there. Without `force` it replaces no file: the image is paid for, and
    gets another name if its own was taken meanwhile.
    """

    def __init__(
        self, prompt: str, target: Path | None, count: int, console: Console, *, force: bool = False
    ) -> None:
        self._prompt = prompt
        self._target = target
        self._count = count
        self._console = console
        self._force = force

    @property
    def targets(self) -> list[Path]:
        """The files that were named, as far as that is known before the images have come."""
        if self._target is None or not self._target.suffix:
            return []
        return [self._numbered(self._target, index) for index in range(self._count)]

    def __call__(self, image: Image) -> str:
        if image.path is None:  # a link that was kept
            self._print_facts(image, ["kept as a link", *_lifetime(image)])
            return image.location
        path = self._path_for(image, image.path.suffix)
        if self._force and self._target is not None:
            image.path.replace(path)
        else:
            path = _move_to_unused(image.path, path)
        suffixes = _JPEG_SUFFIXES if image.format == "jpeg" else {f".{image.format}"}
        if path.suffix.lower() not in suffixes:
            print_line(self._console, f"{path} is a {image.format.upper()}, despite its name.")
        size = format_bytes(image.stored.size)
        self._print_facts(image, [f"{image.width}x{image.height} {image.format} {size}"])
        return str(path)

    def _print_facts(self, image: Image, facts: list[str]) -> None:
        facts += [
            format_seconds(sum(attempt.timings.service for attempt in image.attempts)),
            format_dollars(image.cost),
        ]
        facts += [f"id {image.request_id}"] if image.request_id else []
        facts += [*filter(None, [image.mismatch]), *image.notes]
        print_line(self._console, " · ".join(facts))

    def _path_for(self, image: Image, suffix: str) -> Path:
        target = self._target
        if target is None:
            return Path(_slug(self._prompt) + suffix)
        path = target if target.suffix else target.with_name(target.name + suffix)
        return self._numbered(path, image.index)

    def _numbered(self, path: Path, index: int) -> Path:
        number = f"-{index + 1}" if self._count > 1 else ""
        return path.with_name(f"{path.stem}{number}{path.suffix}")


def _lifetime(image: Image) -> list[str]:
    if image.url_expires is None:
        return []
    return [f"it works for {format_seconds(image.url_expires - time.time())}"]


def _slug(prompt: str) -> str:
    """A file name made of the prompt: letters, digits and hyphens."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-_")
    return words[:_LONGEST_NAME].rstrip("-_") or "image"


def _move_to_unused(source: Path, wanted: Path) -> Path:
    """Rename it to the wanted name, or the next like it that no file has; returns the name."""
    for number in itertools.count(1):
        more = "" if number == 1 else f"-{number}"
        path = wanted.with_name(f"{wanted.stem}{more}{wanted.suffix}")
        try:
            os.link(source, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links
            if os.path.lexists(path):
                continue
            return source.replace(path)
        source.unlink()
        return path
    raise AssertionError("numbers do not end")
