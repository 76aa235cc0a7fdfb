"""How services sign their webhooks. Data, no code: a service with another scheme is one more table.

What is signed is a few parts with a separator between them. Where the body is not among these
parts, whoever has an old signature can put another body under it: one more reason to treat a
webhook as a hint, and to ask the service what is true.
"""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Literal

SignedPart = Literal["id", "time", "user", "task", "body", "sha256"]
Algorithm = Literal["hmac", "ed25519", "rs256"]
SchemeName = Literal["standard", "kie", "fal", "google", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureScheme:
    """How one kind of sender signs.

    Attributes:
        name: What it is called here.
        signature_header: Header of the signatures; "" where nothing is signed.
        id_header, time_header, user_header: Headers of the message's id, of the time (whole
            seconds since 1970) and of the account it is for; "" where there is none.
        signed_parts: What is signed, in order: those headers, the task's id from the body, the
            body itself, or its SHA-256 in hex.
        separator: What stands between these parts.
        algorithms: By the version that stands before a signature; "" for signatures without one.
        is_hex: A signature is hexadecimal, not base64.
        jwks_url: Address of the sender's public keys (a JWKS), or "" where a secret is shared.
        prefix, older_prefix: What its headers begin with now, and with older senders; "" where
            there is one name only.
    """

    name: str
    signature_header: str = ""
    id_header: str = ""
    time_header: str = ""
    user_header: str = ""
    signed_parts: tuple[SignedPart, ...] = ()
    separator: str = "."
    algorithms: dict[str, Algorithm] = field(default_factory=dict)
    is_hex: bool = False
    jwks_url: str = ""
    prefix: str = ""
    older_prefix: str = ""

    @property
    def needs_secret(self) -> bool:
        """It needs a secret that both sides know, or a public key that was handed over."""
        return bool(self.signature_header) and not self.jwks_url

    @property
    def is_token(self) -> bool:
        """The signature is a JWT."""
        return "rs256" in self.algorithms.values()

    def as_named_in(self, headers: Container[str]) -> "SignatureScheme":
        """The same with the older names of its headers, if the signature has that name."""
        if not self.older_prefix or self.signature_header in headers:
            return self
        older = replace(
            self,
            signature_header=self._older(self.signature_header),
            id_header=self._older(self.id_header),
            time_header=self._older(self.time_header),
        )
        return older if older.signature_header in headers else self

    def _older(self, header: str) -> str:
        return f"{self.older_prefix}{header.removeprefix(self.prefix)}"


SCHEMES: dict[str, SignatureScheme] = {
    # Standard Webhooks: Google's own static hooks, Replicate, relays. Several signatures while a
    # secret is being changed; one valid signature is enough.
    "standard": SignatureScheme(
        name="standard",
        signature_header="webhook-signature",
        id_header="webhook-id",
        time_header="webhook-timestamp",
        signed_parts=("id", "time", "body"),
        algorithms={"v1": "hmac", "v1a": "ed25519"},
        prefix="webhook-",
        older_prefix="svix-",
    ),
    "kie": SignatureScheme(
        name="kie",
        signature_header="x-webhook-signature",
        time_header="x-webhook-timestamp",
        signed_parts=("task", "time"),
        algorithms={"": "hmac"},
    ),
    "fal": SignatureScheme(
        name="fal",
        signature_header="x-fal-webhook-signature",
        id_header="x-fal-webhook-request-id",
        time_header="x-fal-webhook-timestamp",
        user_header="x-fal-webhook-user-id",
        signed_parts=("id", "user", "time", "sha256"),
        separator="\n",
        algorithms={"": "ed25519"},
        is_hex=True,
        jwks_url="https://rest.fal.ai/.well-known/jwks.json",
    ),
    # A JWT for each webhook that a request asked for; its audience is our address.
    "google": SignatureScheme(
        name="google",
        signature_header="webhook-signature",
        algorithms={"": "rs256"},
        jwks_url="https://generativelanguage.googleapis.com/.well-known/jwks.json",
    ),
    # Nothing is signed: the only protection is a path that cannot be guessed.
    "none": SignatureScheme(name="none"),
}
