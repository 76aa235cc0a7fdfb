"""Every journal says which of several accounts was asked, of what is out as well."""

from decimal import Decimal

import msgspec

from nbp_async import AccountBill
from nbp_async._flow.links_and_tasks import all_attempts
from tests.contracts.journals import Journals, claim
from tests.unit.journal.made import MOST, PRICE, attempt, job


async def test_an_attempt_that_was_never_settled_names_its_account(opened: Journals) -> None:
    journal = await opened()
    for index, name in enumerate(("google", "relay", "")):
        entry = await claim(journal, job(str(index), index))
        await journal.arm(entry.item, 1, PRICE, MOST, f"{index:06d}", account=name)
        if name == "relay":
            tried = msgspec.structs.replace(attempt(), account=name)
            journal.settle(entry.item, tried)
    await journal.totals()  # what was posted before it is written by now
    journal = await opened()
    left = await journal.unsettled()
    assert [pending.account for entry in left for pending in entry.pending] == ["google", ""]
    assert [tried.account for entry in left for tried in all_attempts(entry)] == [
        "google",
        "relay",
        "",
    ]
    assert opened.read().accounts() == {
        "google": AccountBill(maybe=MOST),
        "relay": AccountBill(spent=PRICE, images=1),
    }
    assert opened.read().totals.maybe == 2 * MOST > Decimal(0)
