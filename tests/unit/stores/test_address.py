"""Addresses of places in stores: what they mean, and what does not belong in them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._base.errors import ConfigError
from nbp_async._stores.store_address import (
    SERVICES,
    StoreAddress,
    is_store,
    refuse_cut_address,
    store_address,
)

_part = (
    st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/?"), min_size=1)
    .filter(lambda part: part == part.strip())
    .filter(lambda part: part not in (".", ".."))
)
_addresses = st.builds(
    lambda scheme, bucket, parts, endpoint, region: StoreAddress(
        scheme, bucket, "/".join(parts), endpoint, region if scheme in ("s3", "oss") else ""
    ),
    st.sampled_from(sorted(SERVICES)),
    st.from_regex(r"[a-z0-9][a-z0-9.-]{1,40}", fullmatch=True),
    st.lists(_part, max_size=4),
    st.sampled_from(["", "https://store.example.com", "https://[::1]:9000", "http://127.0.0.1:9"]),
    st.sampled_from(["", "eu-central-1", "cn-hangzhou"]),
)


@given(_addresses)
def test_an_address_reads_back_as_it_was_written(address: StoreAddress) -> None:
    assert is_store(str(address))
    assert store_address(str(address)) == address


@given(st.text(), st.sampled_from([*SERVICES, "http", "file", ""]))
def test_any_text_is_an_address_or_a_refusal_that_says_nothing_was_sent_in_vain(
    text: str, scheme: str
) -> None:
    try:
        address = store_address(f"{scheme}://{text}")
    except ConfigError as exc:
        assert str(exc)
        return
    assert store_address(str(address)) == address


def test_slashes_at_the_ends_and_doubled_ones_mean_nothing() -> None:
    assert str(store_address("S3://bucket//a///b/")) == "s3://bucket/a/b"
    assert store_address("gs://bucket").below("x.png").path == "x.png"
    assert store_address("gs://bucket/a").below("x.png").path == "a/x.png"


def test_a_percent_sign_is_one() -> None:
    assert store_address("az://box/50%25/c d#e").path == "50%25/c d#e"


@pytest.mark.parametrize(
    "text",
    [
        "s3://KEY:HUSHHUSH@bucket/prefix",
        "s3://bucket/prefix?access_key_id=KEY&secret_access_key=HUSHHUSH",
        "az://box/prefix?sig=HUSHHUSH&sv=2024",
        "s3://bucket/prefix?endpoint=https://KEY:HUSHHUSH@store.example.com",
        "oss://bucket/prefix?endpoint=https://store.example.com?token=HUSHHUSH",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="environment") as caught:
        store_address(text)
    assert "HUSHHUSH" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://bucket/prefix",
        "s3://",
        "s3:///prefix",
        "s3://bucket/../other",
        "s3://bucket/a/ b",
        "s3://bucket/a\nb",
        "gs://bucket/a?region=eu",
        "s3://bucket/a?region=x&region=y",
        "s3://bucket/a?region=../../x",
        "s3://bucket/a?endpoint=ftp://store.example.com",
        "s3://bucket/a?endpoint=https://store.example.com:port",
        "gs://bucket/a?endpoint=http://store.example.com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        store_address(text)


def test_a_folder_is_no_store() -> None:
    for folder in ("catalogue/", "/tmp/x", "C:\\images", "C:/images", "s3/images", Path("x")):
        assert not is_store(folder)
        refuse_cut_address(folder)


def test_an_address_that_was_made_a_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="is a str"):
        refuse_cut_address(Path("s3://bucket/prefix"))
