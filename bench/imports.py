"""What `import nbp_async` costs over a bare interpreter's start."""

import statistics
import subprocess
import sys
import time

_COUNT = "import sys; before = len(sys.modules); import nbp_async; print(len(sys.modules) - before)"


def _start(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def import_cost(reps: int = 9) -> tuple[float, int]:
    """Median milliseconds over a bare start, of paired runs; and how many modules it loads."""
    differences = [_start("import nbp_async") - _start("pass") for _ in range(reps)]
    counted = subprocess.run(
        [sys.executable, "-c", _COUNT], check=True, capture_output=True, text=True
    )
    return statistics.median(differences) * 1e3, int(counted.stdout)
