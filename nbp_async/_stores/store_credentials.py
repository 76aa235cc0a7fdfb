"""Credentials of stores, from the environment, under the names that each service's own tools use.

| scheme | names |
| --- | --- |
| s3 | AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_REGION, AWS_ENDPOINT_URL; else AWS_PROFILE, a web identity or the machine's role |
| oss | ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN, or the OSS_ names of ossutil; OSS_REGION, OSS_ENDPOINT; else a role |
| gs | GOOGLE_APPLICATION_CREDENTIALS, a file; else gcloud's own, or the machine's account |
| az | AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN |

The library that opens the store looks for the rest.
"""  # noqa: E501  a table

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nbp_async._base.errors import ConfigError
from nbp_async._stores.store_address import StoreAddress

_IP_ENDPOINT = re.compile(r"https?://(?:[0-9.]+|\[[0-9a-fA-F:.]+\])(?:[:/]|$)")
_SECRETS: dict[str, dict[str, tuple[str, ...]]] = {
    "s3": {
        "access_key_id": ("AWS_ACCESS_KEY_ID",),
        "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "session_token": ("AWS_SESSION_TOKEN",),
    },
    "oss": {
        "access_key_id": ("ALIBABA_CLOUD_ACCESS_KEY_ID", "OSS_ACCESS_KEY_ID"),
        "access_key_secret": ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "OSS_ACCESS_KEY_SECRET"),
        "security_token": ("ALIBABA_CLOUD_SECURITY_TOKEN", "OSS_SESSION_TOKEN"),
    },
    "gs": {},
    "az": {
        "account_key": ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
        "sas_token": ("AZURE_STORAGE_SAS_TOKEN",),
    },
}
_LOCATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "s3": {
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    },
    "oss": {"region": ("OSS_REGION",), "endpoint": ("OSS_ENDPOINT",)},
    "gs": {},
    "az": {"account_name": ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")},
}
WHAT_TO_SET = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "oss": "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY (or AZURE_STORAGE_SAS_TOKEN)",
}


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a store is opened: options of its service, and which of their values are secret."""

    values: dict[str, str]
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"StoreOptions({', '.join(sorted(self.values))})"


def store_options(address: StoreAddress, environ: Mapping[str, str]) -> StoreOptions:
    """The options that open the bucket of this address.

    Raises:
        ConfigError: Neither the address nor the environment says where the bucket is.
    """
    scheme = address.scheme
    secrets = _read(_SECRETS[scheme], environ)
    location = _read(_LOCATIONS[scheme], environ)
    if address.endpoint:
        location["endpoint"] = address.endpoint
    if address.region:
        location["region"] = address.region
        if not address.endpoint and scheme == "oss":
            location.pop("endpoint", None)
    options = {"container" if scheme == "az" else "bucket": address.bucket, **secrets}
    options |= _COMPLETE[scheme](location)
    return StoreOptions(options, tuple(secrets.values()))


def _read(names: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]) -> dict[str, str]:
    values = {
        option: next((environ[name].strip() for name in of if environ.get(name, "").strip()), "")
        for option, of in names.items()
    }
    return {option: value for option, value in values.items() if value}


def _s3(location: dict[str, str]) -> dict[str, str]:
    if "region" not in location and "endpoint" in location:
        location["region"] = "us-east-1"  # a signature needs one; services other than AWS ignore it
    return location


def _oss(location: dict[str, str]) -> dict[str, str]:
    region = location.pop("region", "").removeprefix("oss-")
    if "endpoint" not in location:
        if not region:
            raise ConfigError(
                "oss://…: say where the bucket is, by ?region=cn-hangzhou in the address, or by "
                "OSS_REGION or OSS_ENDPOINT. Nothing was sent."
            )
        location["endpoint"] = f"https://oss-{region}.aliyuncs.com"
    if _IP_ENDPOINT.match(location["endpoint"]) is not None:
        location["addressing_style"] = "path"  # a bucket's name cannot stand before an IP address
    return location


def _as_is(location: dict[str, str]) -> dict[str, str]:
    return location


def _az(location: dict[str, str]) -> dict[str, str]:
    if "endpoint" not in location:
        if "account_name" not in location:
            raise ConfigError(
                "az://…: say whose container it is, by AZURE_STORAGE_ACCOUNT, or by ?endpoint= in "
                "the address. Nothing was sent."
            )
        location["endpoint"] = f"https://{location['account_name']}.blob.core.windows.net"
    return location


_COMPLETE = {"s3": _s3, "oss": _oss, "gs": _as_is, "az": _az}
