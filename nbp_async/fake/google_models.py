"""Google's models: what there are, and how many tokens a prompt has for one. All of it is free."""

from collections.abc import Mapping

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.google_address import GoogleAddress
from nbp_async.fake.google_answers import modalities
from nbp_async.fake.google_request import decode_google
from nbp_async.fake.json_fields import either
from nbp_async.fake.model_table import FAKE_MODELS
from nbp_async.fake.paging import google_page

_METHODS = ["generateContent", "countTokens", "batchGenerateContent"]
_NAMES = [n for n in FAKE_MODELS if n.startswith("gemini-") or n == "nano-banana-pro-preview"]


def list_models(address: GoogleAddress, query: Mapping[str, str]) -> dict[str, object]:
    """A page of the list of models.

    Raises:
        ApiError: There is no such page.
    """
    names, next_page = google_page(_NAMES, query)
    field = "publisherModels" if address.vertex else "models"
    return {field: [_model(name, vertex=address.vertex) for name in names], **next_page}


def get_model(address: GoogleAddress) -> dict[str, object]:
    """One model.

    Raises:
        ApiError: It is not known.
    """
    if address.model not in _NAMES:
        raise ApiError(404, f"Model is not found: models/{address.model} for api version v1beta")
    return _model(address.model, vertex=address.vertex)


def count_tokens(address: GoogleAddress, document: Mapping[str, object]) -> dict[str, object]:
    """The tokens of a request that could be made.

    Raises:
        ApiError: It could not.
    """
    request = either(document, "generateContentRequest", "generate_content_request")
    spec = decode_google(address.model, request if isinstance(request, dict) else document)
    tokens = spec.count_tokens(0, answered=False)
    assert tokens is not None, "this API counts its tokens"
    details = modalities(tokens.prompt, tokens.references)
    return {"totalTokens": tokens.input, "promptTokensDetails": details}


def _model(name: str, *, vertex: bool) -> dict[str, object]:
    if vertex:
        return {"name": f"publishers/google/models/{name}", "versionId": "default"}
    return {
        "name": f"models/{name}",
        "version": "1.0",
        "displayName": name.replace("-", " ").title(),
        "inputTokenLimit": 65536,
        "outputTokenLimit": 32768,
        "supportedGenerationMethods": _METHODS,
        "thinking": FAKE_MODELS[name].thinks is not None,
    }
