"""Requests that every batch API spells alike, with ids checked before they become addresses."""

import re

from nbp_async._base.errors import MalformedReplyError
from nbp_async._base.http import HttpRequest
from nbp_async._dialects.reply_fields import sanitize
from nbp_async._vendors.profiles import Profile

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,127}")


def checked_id(name: str, what: str) -> str:
    """The vendor's id of a file or a job, as part of an address.

    Raises:
        MalformedReplyError: It would lead elsewhere.
    """
    if not _ID.fullmatch(name):
        raise MalformedReplyError(f"{sanitize(name, 80)!r} is not a valid id of {what}.")
    return name


def get_request(profile: Profile, secret: str, path: str) -> HttpRequest:
    """GET an address below the vendor's base URL."""
    return HttpRequest("GET", f"{profile.base_url}/{path}", profile.key_header(secret))


def post_json(profile: Profile, secret: str, path: str, body: bytes = b"{}") -> HttpRequest:
    """POST a JSON document to an address below the vendor's base URL."""
    headers = profile.key_header(secret) | {"Content-Type": "application/json"}
    return HttpRequest("POST", f"{profile.base_url}/{path}", headers, body)
