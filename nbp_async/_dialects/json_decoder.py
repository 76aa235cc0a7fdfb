"""The decoder of every answer that is JSON: one document, several, or an event stream of them.

`JsonScan` takes the image text out of the body; what remains is small, and the dialect reads it
when the body has ended. A dialect therefore needs two things only: the keys of its images, and a
pure function from the remaining document to an `Answer`.

    body chunks ──► EventStream ──► JsonScan ──► ImageText, ImageEnd   to the sink, chunk by chunk
                                       │
                                       └─ close ──► document ──► read ──► Answer
"""

from collections.abc import Callable

import msgspec

from nbp_async._base.errors import NoImageError, TruncatedError
from nbp_async._dialects.base import Answer, Clean, Part
from nbp_async._dialects.event_stream import EventStream
from nbp_async._dialects.json_scan import JsonScan, Keys


class JsonDecoder:
    """See `base.Decoder`.

    Args:
        keys: Which strings of the document are images.
        read: Reads the document without its images; of a stream or of several documents, the list
            of them. Raises what `Decoder.close` may raise.
    """

    __slots__ = ("_events", "_read", "_scan")

    def __init__(self, keys: Keys, read: Callable[[object], Answer]) -> None:
        self._events = EventStream()
        self._scan = JsonScan(keys)
        self._read = read

    def read_through(self, clean: Clean) -> None:
        self._scan.clean = clean

    @property
    def complete(self) -> bool:
        events = self._events
        if events.is_stream and not events.is_final:
            return events.is_done  # after each event there may come another one
        return self._scan.complete

    def feed(self, data: bytes) -> list[Part]:
        return self._scan.feed(self._events.feed(data))

    def close(self) -> Answer:
        scan = self._scan
        scan.feed(self._events.close())
        document = scan.close()
        is_list = scan.later or self._events.is_stream
        try:
            answer = self._read([document, *scan.later] if is_list else document)
        except NoImageError:
            if not scan.is_cut:
                raise
        else:
            if not scan.notes:
                return answer
            return msgspec.structs.replace(answer, notes=scan.notes + answer.notes)
        problem = TruncatedError("The response is cut off, and has no image up to there.")
        raise problem
