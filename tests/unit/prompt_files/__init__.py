"""Files of prompts, and what is said of files that cannot be read."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from nbp_async import ConfigError, Prompt, PromptFile, read_prompts


def read(name: str, content: str | bytes, **options: Any) -> PromptFile:
    """A file of this name and content, which is gone afterwards: it is read again all the same."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_prompts(path, **options)


def texts(name: str, content: str | bytes, **options: Any) -> list[str]:
    return [prompt.text for prompt in read(name, content, **options)]


def refused(name: str, content: str | bytes, **options: Any) -> str:
    """What is said of the file, beginning with its name."""
    with pytest.raises(ConfigError) as caught:
        read(name, content, **options)
    said = str(caught.value)
    assert "Nothing was sent." in said
    return said[said.index(name) :]


def asked(prompt: Prompt) -> dict[str, Any]:
    """The fields of a prompt that are not what they are by default."""
    usual = Prompt("?")
    fields = {name: getattr(prompt, name) for name in prompt.__struct_fields__}
    return {name: value for name, value in fields.items() if value != getattr(usual, name)}
