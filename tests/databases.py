"""A PostgreSQL for tests: a schema of its own for each, dropped at its end.

NBP_TEST_POSTGRES names another server than the one at its usual local port. Where none answers,
the tests that need one are skipped.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

from nbp_async._journal.database_address import DatabaseAddress

_URL = os.environ.get("NBP_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


@cache
def why_no_database() -> str:
    """Why the tests that need PostgreSQL cannot run here, or ""."""
    psycopg = pytest.importorskip("psycopg")
    try:
        psycopg.connect(_URL, connect_timeout=3).close()
    except psycopg.OperationalError as exc:
        return f"no PostgreSQL answers: {exc}"
    return ""


def execute(address: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement in a run's database, with its schema for SCHEMA; gives its rows."""
    import psycopg

    run = DatabaseAddress.parse(address)
    with psycopg.connect(run.url, autocommit=True, options="-c lock_timeout=20s") as connection:
        cursor = connection.execute(query.replace("SCHEMA", run.schema).encode(), values)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def database() -> Iterator[str]:
    """The address of a run in a schema that nobody else has."""
    reason = why_no_database()
    if reason:
        pytest.skip(reason)
    import psycopg

    schema = f"test_{secrets.token_hex(6)}"
    try:
        yield f"{_URL}?run=a%20run&schema={schema}"
    finally:
        with psycopg.connect(_URL, autocommit=True, options="-c lock_timeout=20s") as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
