"""Headers for a gateway are checked where they are given, and their values never shown."""

import pickle

import pytest

from nbp_async import ClientOptions, ConfigError

SECRET = "gw-0123456789"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"Authorization": SECRET}, "pass api_key"),
        ({"X-Goog-Api-Key": SECRET}, "pass api_key"),
        ({"Proxy-Authorization": SECRET}, "the address of the proxy"),
        ({"content-length": "5"}, "each request has its own"),
        ({"HOST": SECRET}, "each request has its own"),
        ({"Transfer-Encoding": "chunked"}, "each request has its own"),
        ({"X-Team": f"{SECRET}\r\nX-Evil: 1"}, "other than printable ASCII"),
        ({"X-Team": f"{SECRET}ü"}, "other than printable ASCII"),
        ({"X-Team": f" {SECRET}"}, "begins or ends with a space"),
        ({"X Team": SECRET}, "its name is not one"),
        ({"": SECRET}, "its name is not one"),
        ({"X-Team": SECRET, "x-team": SECRET}, "it is there twice"),
        ({"X-Team": 5}, "a dict such as"),
        (SECRET, "a dict such as"),
    ],
)
def test_a_header_that_cannot_be_added_is_refused_without_its_value(
    given: object, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        ClientOptions(headers=given)  # type: ignore[arg-type]  # some are of another type
    assert SECRET not in repr(caught.value) + str(caught.value)


def test_options_show_the_names_alone() -> None:
    options = ClientOptions(headers={"X-Gateway-Token": SECRET})
    assert "X-Gateway-Token" in repr(options)
    assert SECRET not in repr(options)
    assert options.added_headers == {"X-Gateway-Token": SECRET}
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(options)
