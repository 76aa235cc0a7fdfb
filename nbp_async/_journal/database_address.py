"""The address of a run in a database: `postgresql://host/db?run=NAME`."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from nbp_async._base.errors import ConfigError

_SCHEMES = ("postgresql://", "postgres://")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_LONGEST_NAME = 200  # characters of a run's name


def is_database(where: object) -> bool:
    """It is the address of a database, and not a file or a folder."""
    return isinstance(where, str) and where.startswith(_SCHEMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """A run in a database. What is shown of it never has the password.

    Attributes:
        url: Of the database, as libpq takes it, with the password if there is one.
        run: The run's name.
        schema: The schema of its tables.
    """

    url: str
    run: str
    schema: str = "nbp"

    @classmethod
    def parse(cls, address: str) -> Self:
        """Read `postgresql://host/db?run=NAME`; `schema=` is ours too, the rest is libpq's.

        Raises:
            ConfigError: It has no run, or a part of it cannot be read.
        """
        parts = urlsplit(address)
        try:
            query = parse_qsl(parts.query, strict_parsing=bool(parts.query))
        except ValueError:
            raise _error(address, "its parameters cannot be read") from None
        ours = {name: value for name, value in query if name in ("run", "schema")}
        run, schema = ours.get("run", ""), ours.get("schema", "nbp")
        if not run or len(run) > _LONGEST_NAME or not run.isprintable():
            raise _error(address, "it does not name the run: add ?run=NAME")
        if not _SCHEMA.fullmatch(schema):
            raise _error(address, "its schema must be lower-case letters, digits and _")
        rest = urlencode([pair for pair in query if pair[0] not in ours], quote_via=quote)
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, rest, ""))
        return cls(url=url, run=run, schema=schema)

    def __str__(self) -> str:
        """The address without what libpq may need to log in: it is for people to read."""
        return f"{_without_password(self.url)}?run={quote(self.run)}"

    __repr__ = __str__


def package_is_missing(address: DatabaseAddress) -> ConfigError:
    """The error where the extra [postgres] is not installed."""
    return ConfigError(f'{address} needs pip install "nbp-async[postgres]". Nothing was sent.')


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"


def _error(address: str, what: str) -> ConfigError:
    return ConfigError(f"{_without_password(address)}: {what}.", option="journal")
