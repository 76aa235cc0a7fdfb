"""Replicate's models and their versions, as its API describes them."""

from nbp_async.fake.model_table import FAKE_MODELS, maker_of
from nbp_async.fake.seeded_random import digest

_CREATED = "2026-05-28T00:00:00.000000Z"


def version_of(model: str) -> str:
    """The id of a model's only version: 64 hexadecimal digits."""
    return digest("version", model, 1).hex() + digest("version", model, 2).hex()


_BY_VERSION = {version_of(model): model for model in FAKE_MODELS}


def model_named(name: str) -> str:
    """The model that a submit names: by itself, with its owner, with its version, or by that."""
    name = name.rpartition("/")[2].partition(":")[0]  # OWNER/NAME:VERSION
    return _BY_VERSION.get(name, name)


def model_document(name: str) -> dict[str, object]:
    """What is said of a model."""
    owner = maker_of(name)
    return {
        "url": f"https://replicate.com/{owner}/{name}",
        "owner": owner,
        "name": name,
        "description": "A model of the fake server.",
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": version_document(name),
        "is_official": True,
    }


def version_document(name: str) -> dict[str, object]:
    """What is said of a model's version."""
    fields = {
        "prompt": {"type": "string"},
        "image_input": {"type": "array", "items": {"type": "string", "format": "uri"}},
        "resolution": {"type": "string"},
        "aspect_ratio": {"type": "string"},
        "output_format": {"type": "string"},
    }
    schemas = {
        "Input": {"type": "object", "required": ["prompt"], "properties": fields},
        "Output": {"type": "string", "format": "uri"},
    }
    return {
        "id": version_of(name),
        "created_at": _CREATED,
        "cog_version": "0.16.2",
        "openapi_schema": {"openapi": "3.0.2", "components": {"schemas": schemas}},
    }
