"""The address of a place in an object store, as people write it.

    s3://bucket/some/prefix?region=eu-central-1
    s3://bucket/prefix?endpoint=https://minio.example.com
    oss://bucket/prefix?region=cn-hangzhou
    gs://bucket/prefix
    az://container/prefix

The path is used as it is: a "%" is a "%". Credentials are refused in it, since addresses are shown,
logged and kept in journals.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from nbp_async._base.errors import ConfigError

SERVICES = {
    "s3": "an S3-compatible store",
    "oss": "Alibaba Cloud OSS",
    "gs": "Google Cloud Storage",
    "az": "Azure Blob Storage",
}
_OPTIONS = {
    "s3": ("endpoint", "region"),
    "oss": ("endpoint", "region"),
    "gs": ("endpoint",),
    "az": ("endpoint",),
}
_SENDS_A_TOKEN = frozenset({"gs", "az"})  # the others send a signature, never the secret
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CUT_SCHEME = re.compile(r"(?:s3|oss|gs|az):/(?!/)")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,221}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A place in a store: a prefix that images go under, or one object.

    Attributes:
        scheme: A key of `SERVICES`.
        bucket: The bucket, or the container.
        path: A prefix, or an object's name; without a slash at either end.
        endpoint: URL of the service, or "" for its usual one.
        region: The bucket's region, or "" for the environment's.
    """

    scheme: str
    bucket: str
    path: str = ""
    endpoint: str = ""
    region: str = ""

    @property
    def root(self) -> "StoreAddress":
        """The bucket itself."""
        return replace(self, path="")

    def below(self, name: str) -> "StoreAddress":
        """The address of `name` under this one."""
        return replace(self, path=f"{self.path}/{name}" if self.path else name)

    def __str__(self) -> str:
        options = [("endpoint", self.endpoint), ("region", self.region)]
        query = "&".join(f"{name}={quote(value, safe=':/[]')}" for name, value in options if value)
        path = f"/{self.path}" if self.path else ""
        return f"{self.scheme}://{self.bucket}{path}" + (f"?{query}" if query else "")


def is_store(place: object) -> bool:
    """It is an address with a scheme (`s3://…`), not a folder."""
    return isinstance(place, str) and _SCHEME.match(place) is not None


def store_address(text: str) -> StoreAddress:
    """Read the address of a place in a store.

    Raises:
        ConfigError: It is not valid, or has credentials in it, which the message does not repeat.
    """
    scheme, rest = _scheme_of(text)
    path, _, query = rest.partition("?")
    bucket, _, prefix = path.partition("/")
    if "@" in bucket or ":" in bucket:
        raise ConfigError(_NO_SECRETS.format(scheme=scheme))
    if _BUCKET.fullmatch(bucket) is None:
        raise ConfigError(f'{scheme}://: write an address such as "{scheme}://bucket/prefix".')
    if any(ord(char) < 32 or ord(char) == 127 for char in prefix):
        raise ConfigError(f"{scheme}://{bucket}/…: the prefix has invisible characters.")
    parts = [part for part in prefix.split("/") if part]
    if any(part in (".", "..") or part != part.strip() for part in parts):
        raise ConfigError(
            f"{scheme}://{bucket}/…: a part of the prefix is . or .., or has a space at its start "
            "or end."
        )
    options = _options_of(scheme, query)
    return StoreAddress(scheme, bucket, "/".join(parts), **options)


def refuse_cut_address(place: object) -> None:
    """Refuse `Path("s3://bucket")`, which has lost a slash on the way and names a folder.

    Raises:
        ConfigError: It is such a path.
    """
    text = str(place)
    if not is_store(text) and _CUT_SCHEME.match(text) is not None:
        raise ConfigError(f'out={text!r}: the address of a store is a str: "s3://bucket/prefix".')


def parse_out(out: str | Path) -> str | Path:
    """Check the place for images that a user named: the address of a store, else a folder.

    Raises:
        ConfigError: The address is wrong, or it is a path that was an address.
    """
    if is_store(out):
        return str(store_address(str(out)))
    refuse_cut_address(out)
    return Path(out)


_NO_SECRETS = (
    "Credentials do not belong in the address of a store ({scheme}://…), which is shown and kept "
    "in journals. Set them in the environment."
)


def _scheme_of(text: str) -> tuple[str, str]:
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match is not None else ""
    if match is None or scheme not in SERVICES:
        known = ", ".join(f"{name}:// ({service})" for name, service in SERVICES.items())
        raise ConfigError(f"{scheme or 'This'}:// is not a known store. Known are {known}.")
    return scheme, text[match.end() :]


def _options_of(scheme: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS[scheme]:
            allowed = " and ".join(_OPTIONS[scheme])
            raise ConfigError(
                f"{scheme}://…?{name[:40]}=…: the options of an address are {allowed}. "
                + _NO_SECRETS.format(scheme=scheme)
            )
        if name in options:
            raise ConfigError(f"{scheme}://…: {name} is given twice.")
        options[name] = value
    if options.get("endpoint"):
        options["endpoint"] = _endpoint(scheme, options["endpoint"])
    if options.get("region") and _REGION.fullmatch(options["region"]) is None:
        raise ConfigError(f"{scheme}://…: region={options['region']!r} is not valid.")
    return options


def _endpoint(scheme: str, text: str) -> str:
    try:
        url = urlsplit(text if "://" in text else f"https://{text}")
        host = url.hostname
        _ = url.port
    except ValueError:
        host = None
    if not host or url.scheme not in ("http", "https"):
        raise ConfigError(
            f'{scheme}://…: endpoint= must be a URL such as "https://store.example.com".'
        )
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ConfigError(_NO_SECRETS.format(scheme=scheme))
    is_local = host in ("localhost", "127.0.0.1", "::1")
    if url.scheme == "http" and scheme in _SENDS_A_TOKEN and not is_local:
        raise ConfigError(f"{scheme}://…: its token would be sent unencrypted: use https://.")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
