"""What all the APIs of one fake server share."""

from dataclasses import dataclass

from nbp_async.fake.accounting import Accounting
from nbp_async.fake.bank import Bank
from nbp_async.fake.counters import Counters
from nbp_async.fake.fake_settings import FakeSettings
from nbp_async.fake.fault_injection import FaultScript
from nbp_async.fake.renderer import Renderer
from nbp_async.fake.responder import Responder
from nbp_async.fake.signing import SigningKeys
from nbp_async.fake.webhook_sender import WebhookSender


@dataclass(frozen=True, kw_only=True)
class VendorParts:
    """The parts of one server, on one event loop.

    Attributes:
        settings: How the vendor works.
        bank: Accounts and ledger.
        script: Faults that a test ordered.
        counters: Count what arrives and leaves.
        keys: Sign webhooks.
        root: The server's own address, without a path.
        renderer: Draws images.
        responder: Sends answers.
        accounting: Admits work and charges for it.
        webhooks: Sends webhooks.
    """

    settings: FakeSettings
    bank: Bank
    script: FaultScript
    counters: Counters
    keys: SigningKeys
    root: str
    renderer: Renderer
    responder: Responder
    accounting: Accounting
    webhooks: WebhookSender
