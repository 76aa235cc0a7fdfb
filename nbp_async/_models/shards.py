"""A part of a list of prompts: every Nth of them, so that what is appended moves no other one."""

import re
from dataclasses import dataclass
from typing import Self

from nbp_async._base.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts; the first has the prompts 1, 1 + count, 1 + 2 * count and so on.

    Blocks of neighbours would be fewer words, but all of them move when a list grows, and then
    each part buys what another one has.

    Attributes:
        number: Which part, from 1.
        count: How many parts there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"3/100"`.

        Raises:
            ConfigError: It is not one, or there is no such part.
        """
        match = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})", text)
        if match is None or int(match[1]) > int(match[2]):
            raise ConfigError(
                'give "3/100" for the third of 100 parts.', option="shard", value=text
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, place: int) -> bool:
        """The prompt at this place, from 0, is in this part."""
        return place % self.count == self.number - 1

    def size(self, prompts: int) -> int:
        """How many of so many prompts are in this part."""
        return len(range(self.number - 1, prompts, self.count))


ALL = Shard()


def read_shard(value: Shard | str | None, name: str) -> Shard | None:  # noqa: ARG001  as all such
    """What was given for an option."""
    return Shard.parse(value) if isinstance(value, str) else value
