"""Recognises refusals that no wait of minutes solves, by the vendors' codes and words. Pure.

Many vendors send them as a 429 or a 503, which would be asked again for a quarter of an hour.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Literal

Cause = Literal["balance", "day", "no_access", "no_model"]
"""No money or quota left; the day's quota is used up; a limit of 0; nobody serves the model."""

_BALANCE_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "insufficient_user_quota",  # new-api and one-api, the software of most relays
        "pre_consume_token_quota_failed",
    }
)
_BALANCE_WORDS = re.compile(
    r"credits? (?:are|is) depleted|insufficient (?:credits?|balance|funds)"
    r"|(?:credits?|balance) (?:is |are )?insufficient|额度不足|余额不足",
    re.IGNORECASE,
)
# Google's quota ids and metrics; OpenAI's "requests per day" is a window that moves, and passes.
_PER_DAY = re.compile(r"PerDay|_per_day(?![a-z])")
_LIMIT_OF_ZERO = re.compile(r"\blimit: 0(?![.\d])|\"quotaValue\\?\": ?\\?\"0\\?\"")
_NO_MODEL_WORDS = re.compile(r"no available channel|无可用渠道", re.IGNORECASE)

HINTS: dict[Cause, str] = {
    "balance": "Waiting minutes does not help: top up, or wait until the quota is renewed.",
    "day": "The day's quota is used up: waiting minutes does not help.",
    "no_access": "A limit of 0 never passes: this key's project has no access to the model. "
    "Enable billing, or choose another model.",
    "no_model": "Check the model's name, and that the key's group may use it.",
}


def lasting_cause(status: int, codes: AbstractSet[str], text: str) -> Cause | None:
    """Why waiting does not help, or None where it may.

    Args:
        status: Of the response.
        codes: The codes, types and reasons in its body.
        text: The vendor's words with all ids that are in them, as they came.
    """
    if codes & _BALANCE_CODES:
        return "balance"
    if status >= 500 and ("model_not_found" in codes or _NO_MODEL_WORDS.search(text)):
        return "no_model"
    if status not in (429, 503):
        return None
    if _BALANCE_WORDS.search(text) or any(code in text for code in _BALANCE_CODES):
        return "balance"
    if _LIMIT_OF_ZERO.search(text):
        return "no_access"
    return "day" if _PER_DAY.search(text) else None
