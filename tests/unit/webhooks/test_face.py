"""What people import."""

import nbp_async.webhooks


def test_all_is_there_and_sorted() -> None:
    names = nbp_async.webhooks.__all__
    assert names == sorted(names)
    assert all(getattr(nbp_async.webhooks, name) for name in names)
