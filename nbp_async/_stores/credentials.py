"""What opens a store, from the environment, under the names that each service's own tools use.

| scheme | names |
| --- | --- |
| s3 | AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_REGION, AWS_ENDPOINT_URL; else AWS_PROFILE, a web identity or the machine's role |
| oss | ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN, or the OSS_ names of ossutil; OSS_REGION, OSS_ENDPOINT; else a role |
| gs | GOOGLE_APPLICATION_CREDENTIALS, a file; else gcloud's own, or the machine's account |
| az | AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN |

What is not found here is looked for by the library that opens the store.
"""  # noqa: E501  a table

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nbp_async._errors import ConfigError
from nbp_async._stores.address import StoreAddress

_NUMBERED = re.compile(r"https?://(?:[0-9.]+|\[[0-9a-fA-F:.]+\])(?:[:/]|$)")
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
_PLACES: dict[str, dict[str, tuple[str, ...]]] = {
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
class Opening:
    """How a store is opened: options of its service, and which of their values are secret."""

    options: dict[str, str]
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Opening({', '.join(sorted(self.options))})"


def opening_of(address: StoreAddress, environ: Mapping[str, str]) -> Opening:
    """The options that open the bucket of this address.

    Raises:
        ConfigError: Where it is cannot be known: neither the address nor the environment says.
    """
    scheme = address.scheme
    secrets = _found(_SECRETS[scheme], environ)
    places = _found(_PLACES[scheme], environ)
    if address.endpoint:
        places["endpoint"] = address.endpoint
    if address.region:
        places["region"] = address.region
        if not address.endpoint and scheme == "oss":
            places.pop("endpoint", None)
    options = {"container" if scheme == "az" else "bucket": address.bucket, **secrets}
    options |= _SETTLE[scheme](places)
    return Opening(options, tuple(secrets.values()))


def _found(names: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]) -> dict[str, str]:
    values = {
        option: next((environ[name].strip() for name in of if environ.get(name, "").strip()), "")
        for option, of in names.items()
    }
    return {option: value for option, value in values.items() if value}


def _s3(places: dict[str, str]) -> dict[str, str]:
    if "region" not in places and "endpoint" in places:
        places["region"] = "us-east-1"  # signed with, and looked at by none of the others
    return places


def _oss(places: dict[str, str]) -> dict[str, str]:
    region = places.pop("region", "").removeprefix("oss-")
    if "endpoint" not in places:
        if not region:
            raise ConfigError(
                "oss://…: say where the bucket is: ?region=cn-hangzhou in the address, or "
                "OSS_REGION or OSS_ENDPOINT. Nothing was sent."
            )
        places["endpoint"] = f"https://oss-{region}.aliyuncs.com"
    if _NUMBERED.match(places["endpoint"]) is not None:
        places["addressing_style"] = "path"  # no name of a bucket goes before a number
    return places


def _as_is(places: dict[str, str]) -> dict[str, str]:
    return places


def _az(places: dict[str, str]) -> dict[str, str]:
    if "endpoint" not in places:
        if "account_name" not in places:
            raise ConfigError(
                "az://…: say whose container it is: AZURE_STORAGE_ACCOUNT, or ?endpoint= in the "
                "address. Nothing was sent."
            )
        places["endpoint"] = f"https://{places['account_name']}.blob.core.windows.net"
    return places


_SETTLE = {"s3": _s3, "oss": _oss, "gs": _as_is, "az": _az}
