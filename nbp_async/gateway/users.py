"""Users and their tokens. A token is shown once; what is kept of it is its SHA-256."""

import asyncio
import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from nbp_async import ConfigError
from nbp_async.gateway.gateway_tables import GatewayTables

Role = Literal["user", "operator"]
Period = Literal["day", "month", "all"]
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_FRESH = 5.0  # seconds for which a token that was found is not looked up again
_GUESSES = 10  # wrong tokens of one address before it has to wait
_SHORTEST, _LONGEST = 1.0, 300.0  # seconds it waits then, doubled each time


@dataclass(frozen=True, slots=True)
class User:
    """Who asks.

    Attributes:
        name: Whose purse pays: the owner of tasks in the run.
        role: "operator" sees all users.
        hook_secret: Signs the webhooks that this user gets.
        budgets: US dollars by period, as they are set.
    """

    name: str
    role: Role
    hook_secret: str
    budgets: tuple[tuple[Period, Decimal], ...] = ()


class Users:
    """The users of a gateway.

    Args:
        tables: Where they are kept.
    """

    def __init__(self, tables: GatewayTables) -> None:
        self._tables = tables
        self._found: dict[str, tuple[float, User]] = {}

    def add(self, name: str, role: Role = "user") -> str:
        """Add a user; gives the token, which nobody can show again. Blocks.

        Raises:
            ConfigError: There is one of that name, or the name cannot be one.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                "is up to 64 of a-z, 0-9 and . _ @ -, and begins with one of the first two.",
                option="name",
                value=name,
            )
        if role not in ("user", "operator"):
            raise ConfigError('is "user" or "operator".', option="role", value=role)
        if self._tables.rows_now("SELECT name FROM gateway_user WHERE name = ?", name):
            raise ConfigError(f"There is a user {name} already.")
        secret = f"whsec_{secrets.token_urlsafe(32)}"
        query = "INSERT INTO gateway_user (name, role, created, hook_secret) VALUES (?, ?, ?, ?)"
        self._tables.rows_now(query, name, role, time.time(), secret)
        return self.new_token(name)

    def new_token(self, name: str, *, keep_old: bool = False) -> str:
        """A new token in place of the user's others, or beside them. Blocks.

        Raises:
            ConfigError: There is no such user.
        """
        self._require(name)
        if not keep_old:
            self._tables.rows_now("DELETE FROM gateway_token WHERE name = ?", name)
        token = f"nbpu_{secrets.token_urlsafe(32)}"
        query = "INSERT INTO gateway_token VALUES (?, ?, ?)"
        self._tables.rows_now(query, _hash(token), name, time.time())
        return token

    def revoke(self, name: str) -> None:
        """The user's tokens are worth nothing from now on. Tasks that are out go on. Blocks."""
        self._require(name)
        self._tables.rows_now("DELETE FROM gateway_token WHERE name = ?", name)
        self._tables.rows_now(
            "UPDATE gateway_user SET revoked = ? WHERE name = ?", time.time(), name
        )

    def set_budget(self, name: str, dollars: str | None, period: Period = "all") -> None:
        """What a user may spend; None for no limit. It holds within seconds. Blocks.

        Raises:
            ConfigError: There is no such user, or these are no dollars.
        """
        self._require(name)
        amount = None if dollars is None else _amount(dollars)
        where = "name = ? AND period = ?"
        self._tables.rows_now(f"DELETE FROM gateway_budget WHERE {where}", name, period)
        if amount is not None:
            query = "INSERT INTO gateway_budget VALUES (?, ?, ?)"
            self._tables.rows_now(query, name, period, str(amount))

    def names(self) -> list[tuple[str, Role, bool]]:
        """Each user's name, role, and whether it was revoked. Blocks."""
        rows = self._tables.rows_now("SELECT name, role, revoked FROM gateway_user ORDER BY name")
        return [(str(name), role, revoked is not None) for name, role, revoked in rows]

    async def find(self, token: str) -> User | None:
        """The user with this token. What is compared is its hash: no answer tells by its time how
        much of a guess was right.
        """
        key, now = _hash(token), asyncio.get_running_loop().time()
        until, user = self._found.get(key, (0.0, None))
        if user is not None and now < until:
            return user
        rows = await self._tables.rows(_FIND, key)
        self._found = {k: v for k, v in self._found.items() if v[0] > now and k != key}
        if not rows:
            return None
        name, role, secret = rows[0]
        query = "SELECT period, dollars FROM gateway_budget WHERE name = ?"
        budgets = await self._tables.rows(query, name)
        user = User(name, role, secret, tuple((p, Decimal(dollars)) for p, dollars in budgets))
        self._found[key] = (now + _FRESH, user)
        return user

    async def named(self, name: str) -> User | None:
        """The user of this name."""
        query = "SELECT name, role, hook_secret FROM gateway_user WHERE name = ?"
        rows = await self._tables.rows(query, name)
        return User(*rows[0]) if rows else None

    def _require(self, name: str) -> None:
        if not self._tables.rows_now("SELECT name FROM gateway_user WHERE name = ?", name):
            raise ConfigError(f"There is no user {name}: `nbp users list` names them.")


class GuessLimit:
    """Makes an address that tries wrong tokens wait, longer each time. By the loop's clock."""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[int, float]] = {}

    def seconds_to_wait(self, address: str) -> float:
        """How long this address must wait before its next try; 0.0: not at all."""
        now = asyncio.get_running_loop().time()
        return max(0.0, self._wrong.get(address, (0, 0.0))[1] - now)

    def failed(self, address: str) -> None:
        """It tried a wrong token."""
        now = asyncio.get_running_loop().time()
        if len(self._wrong) > 10_000:
            self._wrong = {k: v for k, v in self._wrong.items() if v[1] > now}
        count = self._wrong.get(address, (0, 0.0))[0] + 1
        wait = 0.0
        if count > _GUESSES:
            wait = min(_LONGEST, _SHORTEST * 2.0 ** min(count - _GUESSES - 1, 10))
        self._wrong[address] = (count, now + wait)

    def succeeded(self, address: str) -> None:
        """It had a right one."""
        self._wrong.pop(address, None)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise ConfigError("is an amount of US dollars.", option="dollars", value=text)
    return amount


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


_FIND = """
SELECT u.name, u.role, u.hook_secret FROM gateway_token t JOIN gateway_user u ON u.name = t.name
WHERE t.hash = ? AND u.revoked IS NULL
"""
