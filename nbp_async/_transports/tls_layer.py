"""TLS over bytes: what comes is deciphered, what goes is enciphered; no I/O here.

asyncio's own TLS keeps a buffer of 256 KiB for each connection, and copies all that comes again.
This one reads into a buffer that all connections share, and holds nothing while a call waits.
"""

import ssl
from collections.abc import Callable

_SLICE = 32 * 1024  # bytes that are deciphered at once: OpenSSL's buffer keeps the size it once had
_LIFETIME = 600  # seconds that a session is good for, where the server does not say
RECORD = 16 * 1024  # bytes; a TLS record has no more


class TlsSessions:
    """The last session with each host: a handshake that resumes one costs a fraction of the CPU.

    TLS 1.3 advises to use a ticket once, so that nobody sees that two connections are of one
    client. The vendor knows that anyway, by the key.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[ssl.SSLSession, float]] = {}

    def find(self, host: str) -> ssl.SSLSession | None:
        """The session to resume, or None."""
        return self._known[host][0] if host in self._known else None

    def keep(self, host: str, layer: "TlsLayer", now: float) -> bool:
        """Resume the session of this connection from now on, unless there is a fresh one.

        False if it has none yet: with TLS 1.3 tickets come after the handshake.
        """
        if host in self._known and now < self._known[host][1]:
            return True
        session = layer.resumable()
        if session is None:
            return False
        # To read a session copies it, certificates and all; so it is done once in a while.
        self._known[host] = session, now + (session.ticket_lifetime_hint or _LIFETIME) / 2
        return True

    def drop(self, host: str, session: ssl.SSLSession | None) -> None:
        """Do not offer this session again: the server did not take it, or the handshake failed."""
        if session is not None and self.find(host) is session:
            del self._known[host]


class TlsLayer:
    """One TLS connection over a stream of bytes.

    Args:
        context: Whom to trust.
        host: Whose certificate it must be.
        session: A session to resume, or None.
        buffer: Where plain bytes are put; whatever is in it is used up before this returns.
        send: Takes enciphered bytes to the other side.
        receive: Gets plain bytes; their memory is the buffer's.

    Attributes:
        is_established: The handshake is done: bytes may be sent.
        has_ended: The other side said that no more comes.
    """

    __slots__ = (
        "_buffer",
        "_incoming",
        "_outgoing",
        "_send",
        "_tls",
        "has_ended",
        "is_established",
        "receive_plain",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        host: str,
        session: ssl.SSLSession | None,
        *,
        buffer: memoryview,
        send: Callable[[bytes], None],
        receive: Callable[[memoryview], None],
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=host, session=session
        )
        self._buffer = buffer
        self._send = send
        self.receive_plain = receive
        self.is_established = False
        self.has_ended = False

    @property
    def was_resumed(self) -> bool:
        """The handshake resumed the session that was given."""
        return bool(self._tls.session_reused)

    def resumable(self) -> ssl.SSLSession | None:
        """A session that a later connection may resume, or None if there is none yet."""
        session = self._tls.session
        if session is None or (self._tls.version() == "TLSv1.3" and not session.has_ticket):
            return None
        return session

    def start(self) -> None:
        """Begin the handshake."""
        self._shake_hands()

    def receive(self, data: memoryview) -> None:
        """Take what came from the other side.

        Raises:
            ssl.SSLError: It is not TLS, or the handshake failed. An alert has been sent.
        """
        for at in range(0, len(data), _SLICE):
            if self.has_ended:
                return
            self._incoming.write(data[at : at + _SLICE])
            if self.is_established or self._shake_hands():
                self._decipher()

    def send(self, data: bytes | memoryview) -> None:
        """Encipher and send plain bytes."""
        self._tls.write(data)
        self._flush()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        self.is_established = True
        return True

    def _decipher(self) -> None:
        try:
            # Each read takes one record. What is left of an incomplete one is in OpenSSL's hands.
            while self._incoming.pending:
                size = self._tls.read(len(self._buffer), self._buffer)
                if not size:
                    self.has_ended = True
                    return
                self.receive_plain(self._buffer[: int(size)])
        except ssl.SSLWantReadError:
            pass
        finally:
            self._flush()  # an alert, or the answer to a change of keys

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._send(self._outgoing.read())
