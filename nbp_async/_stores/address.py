"""The address of a place in an object store, as people write it.

    s3://bucket/some/prefix?region=eu-central-1
    s3://bucket/prefix?endpoint=https://minio.example.com
    oss://bucket/prefix?region=cn-hangzhou
    gs://bucket/prefix
    az://container/prefix

The path is taken as it stands: a "%" is a "%". What opens the store never belongs in it: an
address is shown, logged and kept in journals.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, urlsplit

from nbp_async._errors import ConfigError

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
_SENDS_A_TOKEN = frozenset({"gs", "az"})  # as it is, where the others sign with it
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
        path: What names begin with, or an object's name; without a slash at either end.
        endpoint: Where the service answers, or "" for its usual place.
        region: The bucket's region, or "" for what the environment says.
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
        """The place of that name under this one."""
        return replace(self, path=f"{self.path}/{name}" if self.path else name)

    def __str__(self) -> str:
        asked = [("endpoint", self.endpoint), ("region", self.region)]
        query = "&".join(f"{name}={quote(value, safe=':/[]')}" for name, value in asked if value)
        path = f"/{self.path}" if self.path else ""
        return f"{self.scheme}://{self.bucket}{path}" + (f"?{query}" if query else "")


def is_store(place: object) -> bool:
    """It is an address with a scheme (`s3://…`), and no folder."""
    return isinstance(place, str) and _SCHEME.match(place) is not None


def store_address(text: str) -> StoreAddress:
    """Read the address of a place in a store.

    Raises:
        ConfigError: It is none; or credentials are in it, which the message does not repeat.
    """
    scheme, rest = _scheme_of(text)
    path, _, query = rest.partition("?")
    bucket, _, prefix = path.partition("/")
    if "@" in bucket or ":" in bucket:
        raise ConfigError(_NO_SECRETS.format(scheme=scheme))
    if _BUCKET.fullmatch(bucket) is None:
        raise ConfigError(f'{scheme}://: an address such as "{scheme}://bucket/prefix".')
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in prefix):
        raise ConfigError(f"{scheme}://{bucket}/…: no signs that cannot be seen belong in it.")
    parts = [part for part in prefix.split("/") if part]
    if any(part in (".", "..") or part != part.strip() for part in parts):
        raise ConfigError(
            f"{scheme}://{bucket}/…: a part of the prefix is . or .., or has a blank at an end."
        )
    options = _options_of(scheme, query)
    return StoreAddress(scheme, bucket, "/".join(parts), **options)


def refuse_cut_address(place: object) -> None:
    """Refuse a path that was an address before it was made a path, which cost it a slash.

    Raises:
        ConfigError: It is one.
    """
    text = str(place)
    if not is_store(text) and _CUT_SCHEME.match(text) is not None:
        raise ConfigError(f'out={text!r}: the address of a store is a str: "s3://bucket/prefix".')


_NO_SECRETS = (
    "Credentials do not belong in the address of a store ({scheme}://…): it is shown and kept in "
    "journals. Set them in the environment."
)


def _scheme_of(text: str) -> tuple[str, str]:
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found is not None else ""
    if found is None or scheme not in SERVICES:
        known = ", ".join(f"{name}:// ({what})" for name, what in SERVICES.items())
        raise ConfigError(f"{scheme or 'This'}:// is no store that is known: {known}.")
    return scheme, text[found.end() :]


def _options_of(scheme: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS[scheme]:
            allowed = " and ".join(_OPTIONS[scheme])
            raise ConfigError(
                f"{scheme}://…?{name[:40]}=…: an address may name {allowed}. "
                + _NO_SECRETS.format(scheme=scheme)
            )
        if name in options:
            raise ConfigError(f"{scheme}://…: {name} is named twice.")
        options[name] = value
    if options.get("endpoint"):
        options["endpoint"] = _endpoint(scheme, options["endpoint"])
    if options.get("region") and _REGION.fullmatch(options["region"]) is None:
        raise ConfigError(f"{scheme}://…: region={options['region']!r} is none.")
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
            f'{scheme}://…: endpoint= is an address such as "https://store.example.com".'
        )
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ConfigError(_NO_SECRETS.format(scheme=scheme))
    here = host in ("localhost", "127.0.0.1", "::1")
    if url.scheme == "http" and scheme in _SENDS_A_TOKEN and not here:
        raise ConfigError(f"{scheme}://…: its token would go out unencrypted: use https://.")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
