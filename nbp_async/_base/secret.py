"""An API key as a value that never shows itself."""

from collections.abc import Callable


class Secret:
    """An API key that never shows itself: repr and str end in its last four characters.

    No dataclass and no struct: what takes values apart (`asdict`, a JSON encoder) finds nothing.
    """

    __slots__ = ("__reveal", "origin")

    def __init__(self, value: str, origin: str = "api_key=") -> None:
        self.__reveal: Callable[[], str] = lambda: value
        self.origin = origin

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self.__reveal()

    def __str__(self) -> str:
        value = self.reveal()
        return f"…{value[-4:]}" if len(value) >= 12 else "…"

    def __repr__(self) -> str:
        return f"Secret({self}, from {self.origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A key is not pickled. Pass it on by name, in an environment variable.")
