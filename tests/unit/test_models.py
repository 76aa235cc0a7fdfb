"""Prompts, outcomes and what they cost."""

import pickle
from decimal import Decimal

import pytest

from nbp_async._base.errors import ConfigError, NbpError, RateLimitError, ReadTimeout
from nbp_async._calls.batch import Batch
from nbp_async._models.outcomes import (
    Attempt,
    Failure,
    Image,
    MemoryBytes,
    Prompt,
    Stored,
    Timings,
    as_prompt,
)

PRICE = Decimal("0.134")


def attempt(billing: str, number: int = 1) -> Attempt:
    return Attempt(number, billing, PRICE, Timings(0.0, 0.0), status=200)  # type: ignore[arg-type]


def image(index: int, *attempts: Attempt) -> Image:
    stored = Stored(3, b"\0" * 32, where=MemoryBytes(b"abc"))
    return Image(
        index=index,
        prompt=Prompt(text="a cat"),
        attempts=attempts or (attempt("yes"),),
        stored=stored,
        format="png",
        width=1,
        height=1,
    )


def failure(index: int, error: NbpError, *attempts: Attempt) -> Failure:
    worst = attempts[-1].billing if attempts else "no"
    return Failure(
        index=index, prompt=Prompt(text="a cat"), attempts=attempts, error=error, billing=worst
    )


def test_text_dict_and_prompt_become_prompts_and_defaults_fill_the_gaps() -> None:
    defaults = {"size": "4K"}
    assert as_prompt("a cat", defaults) == Prompt(text="a cat", size="4K")
    assert as_prompt({"prompt": "a cat", "size": "1K"}, defaults).size == "1K"
    assert as_prompt(Prompt(text="a cat"), defaults).size == "4K"
    assert as_prompt(Prompt(text="a cat", size="2K"), defaults).size == "2K"
    assert as_prompt({"text": "a cat", "references": ["a.png"]}, {}).references == ("a.png",)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "not empty"),
        ("  ", "not empty"),
        ({"text": "a cat", "sise": "4K"}, "unknown option 'sise': did you mean 'size'"),
        ({"size": "4K"}, "no 'text'"),
        ({"text": "a cat", "n": 0}, "n=0"),
        (17, "not int"),
    ],
)
def test_what_is_no_prompt_is_refused(value: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        as_prompt(value, {})


def test_a_text_needs_no_name_and_references_may_be_a_list() -> None:
    prompt = Prompt("a cat", references=["a.png"])
    assert prompt == Prompt(text="a cat", references=("a.png",))
    assert eval(repr(prompt)) == Prompt("a cat")
    assert hash(prompt) == hash(Prompt("a cat", references=("a.png",)))
    with pytest.raises(TypeError, match="positional"):
        Prompt("a cat", "4K")  # type: ignore[call-arg]


def test_a_bill_tells_what_was_spent_from_what_may_have_been() -> None:
    batch = Batch(
        [
            image(0),
            image(1, attempt("maybe"), attempt("yes", 2)),
            failure(2, ReadTimeout("no answer"), attempt("maybe")),
            failure(3, RateLimitError("429", status=429), attempt("no")),
            failure(4, NbpError("bad"), attempt("yes")),
        ]
    )
    bill = batch.billing
    assert bill.spent == 3 * PRICE
    assert bill.maybe == 2 * PRICE
    assert [outcome.index for outcome in bill.unclear] == [1, 2]
    assert [outcome.index for outcome in bill.lost] == [4]
    assert bill.images == 2


def test_failures_are_raised_together_and_say_which_prompt_and_who_pays() -> None:
    batch = Batch([image(0), failure(1, ReadTimeout("no answer"), attempt("maybe"))])
    with pytest.raises(ExceptionGroup) as caught:
        batch.raise_for_failures()
    (error,) = caught.value.exceptions
    assert isinstance(error, ReadTimeout)
    assert error.__notes__ == ["index 1: Prompt('a cat'); billed: maybe"]
    Batch([image(0)]).raise_for_failures()


def test_a_batch_is_a_sequence_that_tells_itself_in_a_line() -> None:
    batch = Batch([image(0), failure(1, NbpError("x"))], elapsed=12.34)
    assert (len(batch), batch[1].index, [o.ok for o in batch]) == (2, 1, [True, False])
    assert repr(batch) == "Batch(1 ok, 1 failed, $0.13, 12.3 s)"
    assert (len(batch.images), len(batch.failures)) == (1, 1)


def test_errors_survive_pickling_with_their_facts() -> None:
    error = RateLimitError("slow down", status=429, code="x", retry_after=3.0, hint="Wait.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is RateLimitError
    assert (str(copy), copy.status, copy.retry_after) == ("slow down Wait.", 429, 3.0)


def test_timings_tell_waiting_from_service() -> None:
    timings = Timings(queued=10.0, connecting=12.0, sent=12.5, first_byte=100.0, done=103.0)
    assert (timings.waited, timings.service) == (2.0, 91.0)


def test_saving_an_image_writes_its_bytes_unchanged(tmp_path: object) -> None:
    from pathlib import Path

    target = image(0).save(Path(str(tmp_path)) / "cat.png")
    assert target.read_bytes() == b"abc"
