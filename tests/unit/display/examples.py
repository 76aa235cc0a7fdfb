"""Outcomes to show, made by hand."""

from decimal import Decimal
from pathlib import Path

from nbp_async import Attempt, Failure, Image, NbpError, Prompt, Timings
from nbp_async._base.http import Billing
from nbp_async._models.outcomes import Stored


def attempt(
    billing: Billing = "yes", *, begun: float = 100.0, took: float = 40.0, error: str = ""
) -> Attempt:
    done = begun + took
    timings = Timings(begun, done, connecting=begun, sent=begun, first_byte=done)
    return Attempt(
        number=1,
        billing=billing,
        cost=Decimal("0.134"),
        timings=timings,
        error=error,
        request_id="req_1",
    )


def image(path: Path | str, *, index: int = 0, text: str = "a red bicycle") -> Image:
    return Image(
        index=index,
        prompt=Prompt(text=text),
        attempts=(attempt(),),
        stored=Stored(6_100_000, b"\x01" * 32, str(path)),
        format="png",
        width=1024,
        height=1024,
    )


def failure(
    error: NbpError, billing: Billing = "no", *, index: int = 0, text: str = "a cat"
) -> Failure:
    return Failure(
        index=index,
        prompt=Prompt(text=text),
        attempts=(attempt(billing),),
        error=error,
        billing=billing,
    )
