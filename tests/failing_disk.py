"""A disk that fails when it is told to."""

import itertools
import os
from typing import Any

import pytest


class Disk:
    """Calls of the system that fail, each so many times, and then work again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def fail(self, call: str, number: int, *, times: int = 10**6, after: int = 0) -> None:
        calls = itertools.count(1)  # several threads write, and each call counts once

        def failing(real: Any) -> Any:
            def may_fail(*args: Any, **options: Any) -> Any:
                if after < next(calls) <= after + times:
                    raise OSError(number, os.strerror(number))
                return real(*args, **options)

            return may_fail

        for name in ("write", "writev") if call == "write" else (call,):
            self._monkeypatch.setattr(os, name, failing(getattr(os, name)))
