"""Make the tables of a journal in PostgreSQL once, and join a run."""

import os
import socket
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import UndefinedTable

from nbp_async._base.errors import JournalError, NoRunError
from nbp_async._journal.compatibility import how_to_go_on
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._journal.postgres_queue_schema import COLUMNS, PURSES, QUEUE, UPGRADE
from nbp_async._journal.postgres_schema import (
    ACCOUNTS,
    ENTRIES,
    MONEY,
    NOTES,
    TABLES,
    VERSION,
    statements,
)

_LOCK = 0x4E42_5031  # of PostgreSQL's advisory locks: the one who has it makes the tables
_UNCHANGED = "Nothing was changed, nothing was sent."
_BEGIN = "Who begins it says where its images go: with out, or --out."

Connection = AsyncConnection[tuple[Any, ...]]


async def open_session(
    connection: Connection,
    address: DatabaseAddress,
    *,
    account: str | None,
    place: str | None,
    now: float,
) -> tuple[int, int, str]:
    """Join the run; gives the numbers of run and session, and the place of its images.

    Raises:
        NoRunError: There is none, and it cannot be begun without account and place.
        JournalError: The tables are newer than this library, or the run is another account's, or
            has its images elsewhere.
        psycopg.Error: The database refuses.
    """
    schema = address.schema
    await _make_tables(connection, schema)
    async with connection.transaction():
        if account is not None and place is not None:
            await connection.execute(
                f"INSERT INTO {schema}.run (name, account, place, created) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (name) DO NOTHING",
                (address.run, account, place, now),
            )
        query = f"SELECT id, account, place FROM {schema}.run WHERE name = %s"
        cursor = await connection.execute(query, (address.run,))
        row = await cursor.fetchone()
        if row is None:
            raise NoRunError(f"There is no run {address} yet. {_UNCHANGED}", hint=_BEGIN)
        run, owner, known = row
        _refuse_foreign(address, account, place, owner, known)
        cursor = await connection.execute(
            f"INSERT INTO {schema}.session (run, pid, host) VALUES (%s, %s, %s) RETURNING id",
            (run, os.getpid(), socket.gethostname()),
        )
        made = await cursor.fetchone()
        assert made is not None, "it was made above"
        await connection.execute(f"SELECT {schema}.renew(%s, %s)", (run, made[0]))
    return int(run), int(made[0]), str(known)


def make_tables_now(connection: psycopg.Connection[tuple[Any, ...]], schema: str) -> None:
    """The same as for a session, for plain code; within the caller's transaction.

    Raises:
        JournalError: The tables are newer than this library.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    found = connection.execute("SELECT to_regclass(%s)", (f"{schema}.version",)).fetchone()
    row = None
    if found is not None and found[0] is not None:
        row = connection.execute(f"SELECT number FROM {schema}.version".encode()).fetchone()
    for text in _missing(schema, row):
        connection.execute(text.encode())


async def _make_tables(connection: Connection, schema: str) -> None:
    """Make the tables, unless they are there; a second process waits until they are."""
    if not _missing(schema, await _version(connection, schema)):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for text in _missing(schema, await _version(connection, schema)):
            await connection.execute(text.encode())


async def _version(connection: Connection, schema: str) -> tuple[Any, ...] | None:
    try:
        async with connection.transaction():
            cursor = await connection.execute(f"SELECT number FROM {schema}.version")
            return await cursor.fetchone()
    except UndefinedTable:
        return None


def _missing(schema: str, version: tuple[Any, ...] | None) -> list[str]:
    """What is to be executed for the tables of this version to be ours; None: there are none.

    Raises:
        JournalError: They are newer than this library.
    """
    number = None if version is None else int(version[0])
    if number == VERSION:
        return []
    if number is None:
        first: tuple[str, ...] = (f"CREATE SCHEMA IF NOT EXISTS {schema};", TABLES, COLUMNS, NOTES)
    elif number < VERSION:
        notes = f"{NOTES} UPDATE SCHEMA.version SET number = 3;"
        first = (UPGRADE, notes, ACCOUNTS)[number - 1 :]  # from version 1, 2, 3
    else:
        raise JournalError(
            f"The tables in schema {schema} were made by a newer nbp_async (version {number}, ours "
            f"is {VERSION}). {_UNCHANGED}",
            hint="Install the newer one on all machines, or name another schema: &schema=NAME.",
        )
    return [statements(text, schema) for text in (*first, ENTRIES, PURSES, MONEY, QUEUE)]


def _refuse_foreign(
    address: DatabaseAddress, account: str | None, place: str | None, owner: str, known: str
) -> None:
    if account is not None and owner != account:
        raise JournalError(
            f"The run {address} belongs to another account ({owner}; yours is {account}). "
            f"{_UNCHANGED}",
            hint=how_to_go_on(owner, "name"),
        )
    if place is not None and known != place:
        raise JournalError(
            f"The run {address} has its images in {known or 'memory'}, and this call would put "
            f"them in {place or 'memory'}. {_UNCHANGED}",
            hint="All machines of a run need one place: a store, or a folder that all have mounted "
            "under one name.",
        )


def unusable(address: DatabaseAddress, exc: Exception) -> JournalError:
    """The error where a database cannot be reached, or has no tables for us."""
    error = JournalError(
        f"The journal {address} cannot be used: {str(exc).strip()}. Nothing was sent.",
        hint="It must be a PostgreSQL database that this machine reaches, with a user who may "
        "make tables in it.",
    )
    error.__cause__ = exc
    return error
