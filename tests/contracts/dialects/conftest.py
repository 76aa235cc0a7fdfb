"""Every dialect, and every task service that we know, obeys one contract."""

import pytest

from tests.contracts.dialects.kit import SUBJECTS, Subject


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found
