"""Keep learned limits in a run's journal, and go back to those of its earlier calls."""

from nbp_async._flow.endpoint import Endpoint
from nbp_async._journal.base import Journal
from nbp_async._journal.limit_records import LimitRecord, read_limits
from nbp_async._pacing.learned_limit import KeptLimit
from nbp_async._vendors.profiles import endpoint_of


class LimitNotes:
    """The notes of one call about the limits of one endpoint and account."""

    def __init__(self, endpoint: Endpoint, journal: Journal) -> None:
        self._endpoint = endpoint
        self._journal = journal

    async def open(self) -> None:
        """Begin with what is known, and keep what is learned from now on, as a kill may come."""
        for known in read_limits(await self._journal.notes()):
            if (known.endpoint, known.account) == self._owner:
                kept = KeptLimit(known.limit, known.is_searching)
                self._endpoint.remember(known.model, kept, known.written)
        self._endpoint.on_learned.append(self._keep)

    def close(self) -> None:
        """Keep what is known by now: that it held until now, too."""
        if self._keep in self._endpoint.on_learned:
            self._endpoint.on_learned.remove(self._keep)
            for model in self._endpoint.gates:
                self._keep(model)

    def _keep(self, model: str) -> None:
        kept = self._endpoint.gates[model].kept
        if kept is None:
            return
        name, account = self._owner
        now = self._endpoint.resources.wall_clock()
        record = LimitRecord(name, account, model, kept.limit, now, kept.is_searching)
        self._journal.note(record.name, record.text())

    @property
    def _owner(self) -> tuple[str, str]:
        endpoint = self._endpoint
        account = f"{endpoint.account}:{endpoint.name}" if endpoint.name else endpoint.account
        return endpoint_of(endpoint.profile), account
