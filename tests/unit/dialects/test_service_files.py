"""Files that describe a task service: those we ship, and one's own."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from nbp_async._base.errors import (
    ConfigError,
)
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._vendors.profiles import find_profile
from nbp_async._vendors.services import TaskTable, services
from tests.unit.dialects.helpers import KEY, body_of, job
from tests.unit.dialects.task_helpers import RELAY, profile


def test_every_service_can_be_asked_for_by_its_name() -> None:
    for name, service in services().items():
        own = profile(name)
        assert own.tasks == service.tasks
        assert own.held == (not service.base_url)  # a gateway holds calls as well


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("submit = ", "not valid TOML"),
        ('base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"', "no place for a result"),
        ('base_url = "https://a.example"\nsubmit = "/a"\nlook = "/x"\nlinks = ["u"]', "needs {id}"),
        ('submit = "/a"\nlook = "/{id}"\nlinks = ["u"]', "base_url is missing"),
        ('base_url = "ftp://a"\nsubmit = "/a"\nlook = "/{id}"\nlinks = ["u"]', "an address"),
        (
            'base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"\nlinks = ["u"]\nwho = 1',
            "no line is called 'who': nbp help service-files.",
        ),
        ('submit = "/a"\nlok = "/{id}"', "no line is called 'lok': did you mean 'look'?"),
        ('like = "sub2ap"', "no service is called 'sub2ap': did you mean 'sub2api'?"),
        ('submit = "/a"\nlinks = ["u"]', "missing required field `look`."),
        (
            'base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"\nlinks = "u"',
            "array`, got `str` - at `links`.",
        ),
        (
            (
                'base_url = "https://a.example"\nsubmit = "/a"\nlook = "/{id}"\nlinks = ["u"]\n'
                'cancel = "stop"'
            ),
            "cancel='stop': give a method and a path",
        ),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong(tmp_path: Any, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_profile(str(path))
    assert words in str(caught.value)


def test_a_gateway_of_ones_own_needs_two_lines(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base_url = "https://a.example/v1"\nlike = "sub2api"')
    assert find_profile(str(path)).tasks == services()["sub2api"].tasks
    path.write_text('base_url = "https://a.example/v1"\nlike = "kie"\nlook = "/jobs/{id}"')
    tasks = find_profile(str(path)).tasks
    assert tasks == msgspec.structs.replace(services()["kie"].tasks, look="/jobs/{id}")


def test_a_file_of_ones_own_is_an_endpoint(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'base_url = "https://a.example/v9"\nkey_names = ["MINE"]\nsubmit = "/make"\n'
        'look = "/made/{id}"\nlinks = ["urls[]"]\n[body]\ntext = "{prompt}"\n'
    )
    own = find_profile(str(path))
    assert (own.name, own.held, own.key_names) == ("mine", False, ("MINE",))
    request = TaskImages(own).encode(job(), own, (), KEY)
    assert (request.url, body_of(request)) == (
        "https://a.example/v9/make",
        {"text": "a red bicycle"},
    )
    with pytest.raises(ConfigError, match="cannot be read"):
        find_profile(str(tmp_path / "none.toml"))


def test_a_table_can_be_written_in_python() -> None:
    own = replace(RELAY, tasks=TaskTable(submit="/s", look="/l/{id}", links=("u",)))
    assert own.tasks is not None
    assert not own.tasks.calls_back
    assert services()["fal"].tasks.calls_back
