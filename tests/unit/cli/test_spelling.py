"""The library's messages in words of the command line."""

import pytest

from nbp_async.cli.spelling import as_typed


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ('A higher max_cost="45" lets it go on.', "A higher --max-cost 45 lets it go on."),
        ("only with resend_ambiguous", "only with --resend-ambiguous"),
        ("wait=False is for via=\"batch\" alone.", "--no-wait is for --via batch alone."),
        ("prompts[0]: size='9K': none", "prompt 1: size='9K': none"),
        ("to s3://shop/run?endpoint=http://a.example&size=4", None),
    ],
)  # fmt: skip
def test_options_are_said_as_they_are_typed_and_addresses_as_they_are(
    said: str, typed: str | None
) -> None:
    assert as_typed(said) == (said if typed is None else typed)
