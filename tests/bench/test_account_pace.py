"""The benchmark of several accounts says what the library promises of them."""

from bench.account_pace import measure_death, measure_share


def test_two_accounts_use_what_both_ceilings_hold_together() -> None:
    row = measure_share("balanced", seconds=2400.0)
    assert row.share >= 0.95
    assert row.refusals <= 6


def test_a_dead_account_is_replaced_and_nothing_is_lost_or_bought_in_silence() -> None:
    row = measure_death()
    assert row.refused > 0
    assert row.takeover <= 3.0
    assert (row.lost, row.unnamed) == (0, 0)
    assert row.images + row.named == row.prompts
