"""Failures are told by their own reasons, in memory that does not grow with them."""

from nbp_async import BadHeadError, InvalidRequestError
from nbp_async.display.progress import FailureGroups
from nbp_async.display.progress_text import failures_text
from tests.unit.display.examples import failure


def test_two_messages_of_one_class_are_two_reasons() -> None:
    said = [
        "unsafe.",
        "size is not supported.",
        "unsafe.",
    ]
    groups = FailureGroups(
        failure(InvalidRequestError(f"relay answered 400: {text}", status=400), index=index)
        for index, text in enumerate(said)
    )
    assert [failures_text(group) for group in groups.by_count()] == [
        "2 × InvalidRequestError (#1, #3; not billed): relay answered 400: unsafe.",
        "1 × InvalidRequestError (#2; not billed): relay answered 400: size is not supported.",
    ]
    assert "InvalidRequestError" in groups
    assert "BadHeadError" not in groups


def test_messages_that_differ_in_numbers_and_ids_alone_are_one_reason() -> None:
    groups = FailureGroups(
        failure(
            BadHeadError(f"10.0.0.{n}:80{n}: no HTTP, request req_{n}f, after {n}.5 s."), index=n
        )
        for n in range(300)
    )
    (group,) = groups.by_count()
    assert group.count == 300
    assert "10.0.0.299:80299" in group.message


def test_a_class_with_ever_new_messages_has_five_groups() -> None:
    names = [
        "".join(pair) for pair in zip("abcdefghijklmnop" * 9, "qrstuvwxyzabc" * 11, strict=False)
    ]
    groups = FailureGroups(failure(BadHeadError(f"no HTTP but {name}.")) for name in names)
    assert len(groups.by_count()) == 5
    assert sum(group.count for group in groups.by_count()) == len(names)
