"""Batches as data frames: the same columns and types whatever is in them, and exact dollars."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async import Batch, ContentBlockedError, Outcome, Prompt, ReadTimeout, Row
from tests.unit.display.examples import failure, image

FIELDS = [field.name for field in msgspec.structs.fields(Row)]
IMAGE = image(Path("/run/a.png"))
MAYBE = failure(ReadTimeout("no answer"), "maybe", index=1)
BLOCKED = failure(ContentBlockedError("no", reason="SAFETY"), "yes", index=2)
BATCHES = [Batch([]), Batch([MAYBE, BLOCKED]), Batch([IMAGE, MAYBE, BLOCKED])]


@pytest.mark.parametrize("batch", BATCHES, ids=["empty", "failures", "mixed"])
def test_columns_and_types_are_always_the_same(batch: Batch) -> None:
    frame, other = batch.to_polars(), batch.to_pandas()
    assert list(other.columns) == frame.columns == FIELDS
    assert frame.schema == BATCHES[2].to_polars().schema
    assert other.dtypes.equals(BATCHES[2].to_pandas().dtypes)
    assert len(frame) == len(other) == len(batch)
    assert polars.Null not in frame.dtypes


def test_a_mixed_batch_is_told_as_it_is() -> None:
    frame = BATCHES[2].to_polars()
    assert frame["ok"].to_list() == [True, False, False]
    assert frame["path"].to_list() == ["/run/a.png", "", ""]
    assert frame["width"].to_list() == [1024, None, None]
    assert frame["reason"].to_list() == ["", "ReadTimeout", "ContentBlockedError"]
    assert frame["service_s"].to_list() == [40.0] * 3
    other = BATCHES[2].to_pandas()
    assert other["billing"].tolist() == ["yes", "maybe", "yes"]
    assert other["width"].isna().tolist() == [False, True, True]
    assert other.loc[other.ok, "width"].sum() == 1024


@pytest.mark.parametrize("name", ["to_pandas", "to_polars"])
def test_dollars_are_exact(name: str) -> None:
    """A hundred times 13.4 cents are not 13.400000000000002 dollars."""
    batch = Batch([IMAGE] * 100 + [MAYBE])
    frame: Any = getattr(batch, name)()
    assert frame["spent_usd"].sum() == batch.billing.spent == Decimal("13.4")
    assert frame["maybe_usd"].sum() == batch.billing.maybe == Decimal("0.134")


texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
outcomes = st.builds(
    lambda text, seed, cost, base: msgspec.structs.replace(
        base,
        prompt=Prompt(text=text, seed=seed),
        attempts=(msgspec.structs.replace(base.attempts[0], cost=cost),),
    ),
    texts,
    st.none() | st.integers(),
    st.decimals(0, 10_000, places=9),
    st.sampled_from([IMAGE, MAYBE, BLOCKED]),
)


@given(st.lists(outcomes, max_size=5))
def test_any_text_and_any_seed_has_a_row(found: list[Outcome]) -> None:
    batch = Batch(found)
    frame, other = batch.to_polars(), batch.to_pandas()
    prompts = [o.prompt.text for o in found]
    assert frame["prompt"].to_list() == other["prompt"].tolist() == prompts
    assert frame["spent_usd"].to_list() == other["spent_usd"].tolist()
    assert other["spent_usd"].tolist() == [o.spent for o in found]
    seeds = [o.prompt.seed for o in found]
    fitting = [s if s is not None and -(2**63) <= s < 2**63 else None for s in seeds]
    assert frame["seed"].to_list() == fitting


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_without_the_package_it_says_what_to_install(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'needs {package}: pip install "nbp-async\[frames\]"'):
        getattr(Batch([]), f"to_{package}")()


def test_pandas_can_go_on_with_it() -> None:
    by_reason = BATCHES[2].to_pandas().groupby("reason")["maybe_usd"].sum()
    assert by_reason["ReadTimeout"] == Decimal("0.134")
    assert isinstance(by_reason, pandas.Series)
