"""What opens a store comes from the environment, under the names that people know."""

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._stores.bucket import open_bucket
from nbp_async._stores.store_address import store_address
from nbp_async._stores.store_credentials import store_options


def test_s3_takes_amazons_names_and_the_address_goes_first() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "https://elsewhere.example.com",
    }
    opening = store_options(store_address("s3://b/p?region=eu-central-1"), environ)
    assert opening.values == {
        "bucket": "b",
        "access_key_id": "id",
        "secret_access_key": "hush",
        "region": "eu-central-1",
        "endpoint": "https://elsewhere.example.com",
    }
    assert "hush" not in repr(opening)
    assert "hush" in opening.secrets


def test_an_s3_endpoint_of_its_own_needs_no_region() -> None:
    options = store_options(store_address("s3://b?endpoint=https://minio.example.com"), {}).values
    assert options["region"] == "us-east-1"


@pytest.mark.parametrize(
    ("address", "environ", "endpoint"),
    [
        ("oss://b/p?region=cn-hangzhou", {}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ("oss://b/p?region=oss-cn-hangzhou", {}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ("oss://b/p", {"OSS_REGION": "cn-beijing"}, "https://oss-cn-beijing.aliyuncs.com"),
        ("oss://b/p", {"OSS_ENDPOINT": "https://oss.example.com"}, "https://oss.example.com"),
        (
            "oss://b/p?region=cn-beijing",
            {"OSS_ENDPOINT": "https://oss.example.com"},
            "https://oss-cn-beijing.aliyuncs.com",
        ),
        ("az://b/p", {"AZURE_STORAGE_ACCOUNT": "acc"}, "https://acc.blob.core.windows.net"),
    ],
)
def test_the_endpoint_follows_from_region_or_account(
    address: str, environ: dict[str, str], endpoint: str
) -> None:
    assert store_options(store_address(address), environ).values["endpoint"] == endpoint


def test_oss_takes_the_names_of_alibaba_cloud_and_of_ossutil() -> None:
    place = store_address("oss://b/p?region=cn-hangzhou")
    theirs = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush"}
    tools = {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "hush"}
    assert store_options(place, theirs) == store_options(place, tools)


@pytest.mark.parametrize("address", ["oss://b/p", "az://b/p"])
def test_a_place_that_nobody_named_is_refused_with_what_to_say(address: str) -> None:
    with pytest.raises(ConfigError, match="say wh"):
        store_options(store_address(address), {})


@pytest.mark.parametrize(
    ("address", "environ"),
    [
        ("s3://b/p?region=eu-west-1", {}),
        ("oss://b/p?region=cn-hangzhou", {}),
        ("gs://b/p", {}),
        ("az://b/p", {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=x"}),
    ],
)
def test_every_service_opens_with_what_is_found(address: str, environ: dict[str, str]) -> None:
    place = store_address(address)
    open_bucket(place, store_options(place, environ))


def test_s3_without_a_region_says_so() -> None:
    place = store_address("s3://b/p")
    with pytest.raises(ConfigError, match="region is missing"):
        open_bucket(place, store_options(place, {}))
