"""Where a link's redirect leads. A place is spelled as the store spelled it: it may be signed."""

from urllib.parse import quote, urljoin, urlsplit

from nbp_async._base.http import ReplyHead

MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PRINTABLE = "".join(map(chr, range(32, 127)))


def redirect_target(url: str, head: ReplyHead) -> str | None:
    """The link that a reply to `url` leads on to, or None if it leads nowhere.

    `urljoin` would write a whole link anew: it joins only what is relative to the link's folder.
    """
    text = head.headers.get("location", "").strip() if head.status in _REDIRECTS else ""
    if not text:
        return None
    # Bytes that are not ASCII, which the HTTP library has decoded.
    location = quote(text, safe=_PRINTABLE, errors="surrogateescape")
    scheme = url.partition("://")[0]
    if "://" in location.partition("?")[0]:
        return location
    if location.startswith("//"):
        return f"{scheme}:{location}"
    if location.startswith("/"):
        return f"{scheme}://{urlsplit(url).netloc}{location}"
    return urljoin(url, location)
