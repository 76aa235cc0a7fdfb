"""How services sign their webhooks. Data, and no code: a service that signs otherwise is a table.

What is signed is a few parts with a joint between them. Where the body is not among these parts,
whoever knows an old signature can put other words under it: one more reason to believe nothing of
them.
"""

from dataclasses import dataclass, field
from typing import Literal

Part = Literal["id", "time", "user", "task", "body", "sha256"]
How = Literal["hmac", "ed25519", "rs256"]
SchemeName = Literal["standard", "kie", "fal", "google", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How one kind of sender signs.

    Attributes:
        name: What it is called here.
        mark: Header of the signature; "" where nothing is signed.
        id, time, user: Headers of the message's id, of the time (whole seconds since 1970) and of
            the account it is for; "" where there is none.
        signed: What is signed, in order: those headers, the task's id as the body has it, the body
            itself, or its SHA-256 in hex.
        joint: What stands between these parts.
        how: What a signature is, by the version that is written before it; "" for one without.
        hexed: A signature is hex, and not base64.
        keys: Address of the sender's public keys (a JWKS), or "" where a secret is shared.
    """

    name: str
    mark: str = ""
    id: str = ""
    time: str = ""
    user: str = ""
    signed: tuple[Part, ...] = ()
    joint: str = "."
    how: dict[str, How] = field(default_factory=dict)
    hexed: bool = False
    keys: str = ""

    @property
    def shared(self) -> bool:
        """It needs a secret that both sides know, or a public key that was handed over."""
        return bool(self.mark) and not self.keys


SCHEMES: dict[str, Scheme] = {
    # Standard Webhooks: Google's own static hooks, Replicate, relays. Several signatures during a
    # change of secrets; any one that holds is enough.
    "standard": Scheme(
        name="standard",
        mark="webhook-signature",
        id="webhook-id",
        time="webhook-timestamp",
        signed=("id", "time", "body"),
        how={"v1": "hmac", "v1a": "ed25519"},
    ),
    "kie": Scheme(
        name="kie",
        mark="x-webhook-signature",
        time="x-webhook-timestamp",
        signed=("task", "time"),
        how={"": "hmac"},
    ),
    "fal": Scheme(
        name="fal",
        mark="x-fal-webhook-signature",
        id="x-fal-webhook-request-id",
        time="x-fal-webhook-timestamp",
        user="x-fal-webhook-user-id",
        signed=("id", "user", "time", "sha256"),
        joint="\n",
        how={"": "ed25519"},
        hexed=True,
        keys="https://rest.fal.ai/.well-known/jwks.json",
    ),
    # A JWT for each webhook that was asked for with the request; its audience is the address.
    "google": Scheme(
        name="google",
        mark="webhook-signature",
        how={"": "rs256"},
        keys="https://generativelanguage.googleapis.com/.well-known/jwks.json",
    ),
    # Nothing is signed: that the path cannot be guessed is all there is.
    "none": Scheme(name="none"),
}
