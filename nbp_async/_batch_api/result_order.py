"""Results without keys, joined with their lines by their order. Only where that is certain.

Google answers requests that came inline in their order, and some relays drop the keys on the way.
Whether nothing is missing is known at the end, so that such results are counted first, and taken
from a second response; a poll is free.
"""

from collections.abc import Sequence

from nbp_async._batch_api.result_lines import ResultLine


class ResultOrder:
    """Whether results are in the order of the requests.

    Args:
        keys: Of all lines of the job, in their order.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._is_certain: bool | None = None  # None until all results were counted once
        self.begin()

    def begin(self) -> None:
        """A response begins."""
        self._positions: set[int] = set()
        self._has_unnamed = False
        self._agrees = True

    def is_counting(self, line: ResultLine) -> bool:
        """It has no key, and cannot be taken before all results are counted."""
        if self._is_certain is not None or line.position is None:
            return False
        self._positions.add(line.position)  # the same array may come twice
        if line.key:
            self._agrees &= self._key_of(line.position) == line.key
            return False
        self._has_unnamed = True
        return True

    def end(self) -> bool:
        """The response ended; whether the results without keys are to be read once more.

        The order is certain if no result is missing, and each that has a key is in its place.
        """
        if self._is_certain is not None or not self._has_unnamed:
            return False
        self._is_certain = self._agrees and len(self._positions) == len(self._keys)
        return True

    def key_at(self, position: int | None) -> str:
        """The key of the line that the result at this place belongs to, or ""."""
        return self._key_of(position) if position is not None and self._is_certain else ""

    def _key_of(self, position: int) -> str:
        return self._keys[position] if position < len(self._keys) else ""
