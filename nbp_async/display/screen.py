"""The notebook that this program runs in, if it does: where what is live can be shown.

Jupyter's kernels (JupyterLab, VS Code, Colab and so on) take HTML, and replace it by its id: no
widget and no extension is needed. IPython is looked for among what is loaded already, and never
imported: in a kernel it is there, and elsewhere it would only cost time.
"""

import os
import sys
import threading
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Protocol

OFF = "NBP_PROGRESS"  # the environment variable that turns live displays off, with 0


class Screen(Protocol):
    """Shows HTML, with text for where there is none, and replaces it by its id."""

    @property
    def cell(self) -> object:
        """Something that is another one in each cell."""

    def show(self, bundle: Mapping[str, str], name: str) -> None:
        """Show it in the cell that runs now."""

    def update(self, bundle: Mapping[str, str], name: str) -> None:
        """Replace it, wherever it was shown."""


class Notebook:
    """A kernel's own display. May be used from its main thread alone.

    What saves a notebook as it runs listens only while a cell runs. What was renewed between two
    cells is therefore said once more as the next one begins.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._renewed: dict[str, Mapping[str, str]] = {}

    @property
    def cell(self) -> object:
        return self._shell.execution_count

    def show(self, bundle: Mapping[str, str], name: str) -> None:
        self._publish(bundle, name, update=False)

    def update(self, bundle: Mapping[str, str], name: str) -> None:
        # In a context of nobody's, for the cell that began this may have ended: what runs the cell
        # of now listens for that one alone, and would not keep how it went on.
        Context().run(self._publish, bundle, name, update=True)
        if not self._renewed:
            self._shell.events.register("pre_run_cell", self._say_again)
        self._renewed[name] = bundle

    def _say_again(self, _info: object) -> None:
        self._shell.events.unregister("pre_run_cell", self._say_again)
        renewed, self._renewed = self._renewed, {}
        for name, bundle in renewed.items():
            self._publish(bundle, name, update=True)

    def _publish(self, bundle: Mapping[str, str], name: str, *, update: bool) -> None:
        transient = {"display_id": name}
        self._shell.display_pub.publish(dict(bundle), transient=transient, update=update)


def notebook() -> Notebook | None:
    """The kernel that this thread runs cells for, or None."""
    if threading.current_thread() is not threading.main_thread():
        return None  # what computes in a thread may do so in another time, and very often
    find = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = find() if find is not None else None
    return Notebook(shell) if getattr(shell, "kernel", None) is not None else None


def screen_for(progress: bool) -> Screen | None:
    """Where to show a call, if that is wanted and can be done."""
    return notebook() if progress and os.environ.get(OFF) != "0" else None
