"""Whom connections trust: a file of authorities, this system's store, or what a variable names."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nbp_async._base.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSource:
    """Where the certificates of trusted authorities are.

    Attributes:
        path: A file or a folder of them; "" for where OpenSSL looks.
        origin: What named it: "ca", or a variable; "" if nothing did.
        system: Ask the system's own store, by `truststore`.
    """

    path: str = ""
    origin: str = ""
    system: bool = False

    @property
    def is_usual(self) -> bool:
        """Nothing was said: it is where OpenSSL looks by itself."""
        return self == USUAL


USUAL = TrustSource()


def choose_trust(
    ca: str | None, certificates: str | None, environ: Mapping[str, str]
) -> TrustSource:
    """The first of: the file `ca`; the system's store, if asked for; SSL_CERT_FILE;
    REQUESTS_CA_BUNDLE; where OpenSSL looks, which SSL_CERT_DIR may say.

    Raises:
        ConfigError: Both options are there.
    """
    if certificates == "system":
        if ca is not None:
            words = "give a file of authorities or the system's store, not both."
            raise ConfigError(words, option="ca", value=ca)
        return TrustSource(system=True)
    if ca is not None:
        return TrustSource(path=ca, origin="ca")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if path := environ.get(name, ""):
            return TrustSource(path=path, origin=name)
    return USUAL


def new_context(source: TrustSource) -> ssl.SSLContext:
    """A context of its own that trusts these authorities.

    Raises:
        ConfigError: There is no such file, or no certificate in it; or `truststore` is missing.
    """
    if source.system:
        return _system_context()
    try:
        Path(source.path or ".").stat()
        if source.origin in ("", "SSL_CERT_FILE"):
            return ssl.create_default_context()  # OpenSSL reads that variable by itself
        if Path(source.path).is_dir():
            return ssl.create_default_context(capath=source.path)
        return ssl.create_default_context(cafile=source.path)
    except OSError as exc:
        reason = f"cannot be used: {exc.strerror or type(exc).__name__}."
    if source.origin == "ca":
        raise ConfigError(reason, option="ca", value=source.path)
    raise ConfigError(f"{source.origin}={source.path!r} {reason}")


def shared_context(source: TrustSource) -> ssl.SSLContext:
    """The same, made once: it takes some milliseconds and megabytes."""
    path = Path(source.path)
    return _shared(source, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _shared(source: TrustSource, _changed: int) -> ssl.SSLContext:
    context = new_context(source)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(("http/1.1",))
    return context


def _system_context() -> ssl.SSLContext:
    try:
        import truststore
    except ImportError:
        raise ConfigError(
            "needs a package: pip install 'nbp-async[system-certificates]'.",
            option="certificates",
            value="system",
        ) from None
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
