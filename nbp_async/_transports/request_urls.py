"""The address of a request as a URL, spelled on the wire as it was given."""

import re
from urllib.parse import quote

from yarl import URL

_PRINTABLE = "".join(map(chr, range(33, 127)))
_MOST = 100  # URLs that are kept parsed


class RequestUrls:
    """Parses each URL once: apart from image links, a client uses the same few."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, URL] = {}

    def parse(self, text: str) -> URL:
        """The URL as it is spelled.

        Raises:
            ValueError: It is not one.
        """
        url = self._known.get(text)
        if url is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            url = self._known[text] = _as_spelled(text)
        return url


def _as_spelled(text: str) -> URL:
    """The URL as it is: a link may be signed, and with `%2F` spelled anew its signature is wrong.

    Only what a request cannot hold is encoded: spaces, and what is not ASCII.
    """
    scheme, _, rest = text.partition("://")
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    origin = f"{scheme}://{host}" if host.isascii() else str(URL(f"{scheme}://{host}"))
    return URL(origin + quote(rest[len(host) :], safe=_PRINTABLE), encoded=True)
