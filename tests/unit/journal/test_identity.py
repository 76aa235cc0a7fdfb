"""Equal jobs are one identity, whenever and wherever they are asked; anything else is another."""

import random
import subprocess
import sys
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nbp_async._journal.identity import identity
from nbp_async._models.outcomes import Job, Prompt
from nbp_async._vendors.sizes import canvas_for
from tests.unit.journal.made import job

texts = st.text(min_size=1).filter(str.strip)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
extras = st.none() | st.dictionaries(texts, values, min_size=1, max_size=4)
digests = st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple)


@st.composite
def asked(draw: st.DrawFn) -> tuple[dict[str, Any], str, tuple[bytes, ...]]:
    """All that an identity is made of."""
    size, ratio = draw(st.sampled_from(["1K", "2K", "4K"])), draw(st.sampled_from([None, "16:9"]))
    return (
        {
            "text": draw(texts),
            "size": size,
            "aspect_ratio": ratio,
            "extra": draw(extras),
            "seed": draw(st.none() | st.integers(0, 99)),
            "model": draw(st.sampled_from(["nano-banana-pro", "nano-banana"])),
        },
        draw(st.sampled_from(["google:abc", "relay:abc"])),
        draw(digests),
    )


def job_of(fields: dict[str, Any], **more: Any) -> Job:
    fields = dict(fields)
    model = fields.pop("model")
    made = job(**fields, **more)
    canvas = canvas_for("nano-banana-pro", fields["size"], fields["aspect_ratio"])
    return msgspec.structs.replace(made, model=model, canvas=canvas)


def turned(value: Any, rng: random.Random) -> Any:
    """The same with the keys of every dictionary in another order."""
    if isinstance(value, dict):
        items = [(key, turned(inner, rng)) for key, inner in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [turned(inner, rng) for inner in value] if isinstance(value, list) else value


@given(asked(), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_it_is_the_same_whatever_the_place_and_the_order_of_keys(
    what: tuple[dict[str, Any], str, tuple[bytes, ...]], index: int, rng: random.Random
) -> None:
    fields, account, references = what
    here = identity(job_of(fields), account, references)
    there = job_of(fields | {"extra": turned(fields["extra"], rng)}, index=index)
    there = msgspec.structs.replace(there, price=Decimal(9), most=Decimal(99))
    assert identity(there, account, references) == here
    assert len(here) == 32


@given(asked(), asked())
def test_whatever_is_asked_otherwise_is_another(
    one: tuple[dict[str, Any], str, tuple[bytes, ...]],
    other: tuple[dict[str, Any], str, tuple[bytes, ...]],
) -> None:
    """Each of the fields, exchanged alone."""
    (fields, account, references), (fields2, account2, references2) = one, other
    here = identity(job_of(fields), account, references)
    for name, value in fields2.items():
        if repr(fields[name]) != repr(value):  # 0 and False are equal, and not the same JSON
            assume(fields[name] != value or name == "extra")
            changed = identity(job_of(fields | {name: value}), account, references)
            assert (changed == here) == (same(fields[name], value)), name
    assert (identity(job_of(fields), account2, references) == here) == (account2 == account)
    assert (identity(job_of(fields), account, references2) == here) == (references2 == references)


def same(one: Any, other: Any) -> bool:
    encode = msgspec.json.Encoder(order="deterministic").encode
    return encode(one) == encode(other)


def test_references_count_in_their_order() -> None:
    one, other = b"\x01" * 32, b"\x02" * 32
    ids = {identity(job(), "a", order) for order in [(one, other), (other, one), (one,), ()]}
    assert len(ids) == 4


def test_each_copy_of_a_seeded_prompt_is_another_and_unseeded_copies_are_equal() -> None:
    def copies(seed: int | None) -> list[bytes]:
        made = msgspec.structs.replace(job(), prompt=Prompt(text="a", n=3, seed=seed))
        each = [msgspec.structs.replace(made, copy=number) for number in range(3)]
        return [identity(copy, "a", ()) for copy in each]

    assert len(set(copies(5))) == 3
    assert len(set(copies(None))) == 1
    assert copies(5)[1] == copies(6)[0], "the second copy of seed 5 has seed 6"


def test_how_many_are_wanted_is_no_part_of_it() -> None:
    assert identity(job(n=1), "a", ()) == identity(job(n=7), "a", ())


@pytest.mark.parametrize("seed", ["0", "1"])
def test_another_process_comes_to_the_same(seed: str) -> None:
    """And another version should: a change here makes every run buy its images again."""
    code = (
        "from tests.unit.journal.made import job; "
        "from nbp_async._journal.identity import identity; "
        "print(identity(job('ä', extra={'b': 1, 'a': {'d': [1.5, None], 'c': 'x'}}, seed=3), "
        "'google:abc', (bytes(32),)).hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == GOLDEN


GOLDEN = "09cce7c6f34ba7a513703787224ffa6873c7a174948cc8f23f6da878c78b13c5"
