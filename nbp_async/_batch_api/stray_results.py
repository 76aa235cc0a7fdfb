"""Results that belong to no line of their job, the second one of a line, and parts of one: they may
be paid.
"""

import logging
import re
from decimal import Decimal

from nbp_async._base.errors import MalformedReplyError
from nbp_async._base.task_handle import Handle
from nbp_async._batch_api.batch_ledger import JobRecord
from nbp_async._batch_api.result_lines import ResultLine
from nbp_async._dialects.reply_fields import sanitize
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.unread_reply import ReplyOrigin, keep_reply

log = logging.getLogger("nbp_async")

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\-]")


class StrayResults:
    """Keeps such results of one job as they came, each once; what has no image is only logged.

    Args:
        endpoint: Who was asked.
        job: The job.
        price: US dollars that one of its lines should cost.
    """

    def __init__(self, endpoint: Endpoint, job: JobRecord, price: Decimal) -> None:
        self._endpoint = endpoint
        self._job = job
        self._price = price
        self._places: dict[tuple[str, int], str] = {}  # by key and checksum

    @property
    def hint(self) -> str:
        """Where the result of a line that has none may be, or ""."""
        kept = [place for place in self._places.values() if place]
        if not kept:
            return ""
        return (
            f"Results that no prompt could be given are kept: {len(kept)}, the first in "
            f"{kept[0]}. nbp recover stores their images."
        )

    async def keep(self, line: ResultLine, exchange: Exchange, *, is_known: bool) -> None:
        """Keep one, or log it; `is_known`: its line had a result before."""
        found = (line.key, line.checksum)
        if found in self._places:
            return
        place = ""
        if line.answer is not None or isinstance(line.error, MalformedReplyError):
            place = await keep_reply(exchange, self._endpoint, self._origin(line))
        self._places[found] = place
        which = "a second result for" if is_known else "a result with an unknown key"
        which = "only a part of the result for" if line.is_cut else which
        why = f"{type(line.error).__name__}: {line.error}" if line.error else "it cannot be kept"
        kept = f"kept in {place}, it may have cost ${self._price.normalize():f}" if place else why
        shown = sanitize(line.key, 40)
        log.warning("Batch job %s has %s %r: %s", self._job.name, which, shown, kept)

    def _origin(self, line: ResultLine) -> ReplyOrigin:
        key = _NOT_IN_NAMES.sub("_", sanitize(line.key, 40)) or "nokey"
        return ReplyOrigin(
            index=line.position or 0,
            number=1,
            prompt=f"a result of batch job {self._job.name}",
            model=self._job.model,
            price=self._price,
            stem=f"unknown-{self._job.name}-{key}",
            handle=Handle("batch", self._job.name, key=line.key),
        )
