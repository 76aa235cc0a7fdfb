"""Several keys of one account: the next one takes the place of a key that is refused."""

import logging
from collections.abc import Sequence

from nbp_async._base.secret import Secret

log = logging.getLogger("nbp_async")


class KeyRing(Secret):
    """Keys of one account, as one: the one in use is revealed, and all of them are hidden.

    A vendor's limits belong to the account, so another key brings nothing after a 429. It does
    where a key was revoked, or has not the right that another one has.
    """

    __slots__ = ("__keys",)

    def __init__(self, keys: Sequence[Secret]) -> None:
        first, *rest = keys
        super().__init__(first.reveal(), first.origin, others=[key.reveal() for key in rest])
        self.__keys = tuple(keys)

    def reveal(self) -> str:
        return self.__keys[self.turn].reveal()

    def replace(self, turn: int) -> bool:
        if turn != self.turn:  # many requests were out with it: the first refusal has replaced it
            return True
        if turn + 1 == len(self.__keys):
            return False
        refused = f"{self} from {self.origin}"
        self.turn += 1
        self.origin = self.__keys[self.turn].origin
        log.warning("The key %s was refused: from now on the next one is used, %s.", refused, self)
        return True
