"""The notebook that this program runs in, if any: where HTML can be shown and updated.

Jupyter's kernels (JupyterLab, VS Code, Colab and so on) take HTML and replace it by its id, without
a widget or an extension. IPython is looked up among the loaded modules and never imported: in a
kernel it is loaded, and elsewhere importing it would only cost time.
"""

import os
import sys
import threading
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Protocol

OFF = "NBP_PROGRESS"  # the environment variable that turns live displays off, with 0


class Screen(Protocol):
    """Shows HTML, with text for viewers that show none, and replaces it by its id."""

    @property
    def cell(self) -> object:
        """A value that differs from cell to cell."""

    def show(self, bundle: Mapping[str, str], name: str) -> None:
        """Show it in the cell that runs now."""

    def update(self, bundle: Mapping[str, str], name: str) -> None:
        """Replace it, wherever it was shown."""


class Notebook:
    """A kernel's display. To be used from its main thread only.

    A front end that saves a running notebook listens only while a cell runs. Updates between two
    cells are therefore published once more when the next cell begins.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._updated: dict[str, Mapping[str, str]] = {}

    @property
    def cell(self) -> object:
        return self._shell.execution_count

    def show(self, bundle: Mapping[str, str], name: str) -> None:
        self._publish(bundle, name, update=False)

    def update(self, bundle: Mapping[str, str], name: str) -> None:
        # An empty context drops the parent header of the cell that began this. That cell may have
        # ended, and a front end that runs another cell ignores messages for the first one.
        Context().run(self._publish, bundle, name, update=True)
        if not self._updated:
            self._shell.events.register("pre_run_cell", self._publish_again)
        self._updated[name] = bundle

    def _publish_again(self, _info: object) -> None:
        self._shell.events.unregister("pre_run_cell", self._publish_again)
        updated, self._updated = self._updated, {}
        for name, bundle in updated.items():
            self._publish(bundle, name, update=True)

    def _publish(self, bundle: Mapping[str, str], name: str, *, update: bool) -> None:
        transient = {"display_id": name}
        self._shell.display_pub.publish(dict(bundle), transient=transient, update=update)


def notebook() -> Notebook | None:
    """The kernel that this thread runs cells for, or None."""
    if threading.current_thread() is not threading.main_thread():
        return None  # IPython's display is not thread-safe, and threads may run outside of any cell
    find = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = find() if find is not None else None
    return Notebook(shell) if getattr(shell, "kernel", None) is not None else None


def screen_for(progress: bool) -> Screen | None:
    """Where to show a call, if the caller wants it shown and a kernel can show it."""
    return notebook() if progress and os.environ.get(OFF) != "0" else None
