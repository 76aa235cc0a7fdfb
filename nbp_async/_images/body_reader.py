"""Reads the body of an answer, which may break off after everything that matters was there."""

from nbp_async._base.errors import TruncatedError
from nbp_async._dialects.base import Decoder
from nbp_async._transports.base import Reply


async def read_piece(reply: Reply, decoder: Decoder) -> bytes:
    """The next piece of the body; `b""` at its end, or where it breaks off and its JSON is whole.

    Some servers close the connection instead of sending the last chunk, and some announce a byte
    more than they have.

    Raises:
        TruncatedError: It broke off within its JSON.
        MalformedReplyError: What else `Reply.read` raises.
    """
    try:
        return await reply.read()
    except TruncatedError:
        if not decoder.complete:
            raise
    return b""
