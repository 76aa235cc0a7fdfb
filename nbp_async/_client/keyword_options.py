"""Calls whose keywords are the fields of an option value: each option is spelled there alone."""

import inspect
import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints, overload

from nbp_async._base.option_fields import texts_of
from nbp_async._client.client_options import ClientOptions
from nbp_async._models.argument_errors import refuse_missing, refuse_unknown

P = ParamSpec("P")
Options = TypeVar("Options")
First = TypeVar("First")
Second = TypeVar("Second")
Result = TypeVar("Result")


class takes(Generic[P, Options]):  # noqa: N801  a decorator
    """Give a function that takes an option value the keywords that make one.

    ```python
    @takes(CallOptions)
    def size_of(prompts: list[str], options: CallOptions) -> str | None:
        return options.size

    assert size_of(["a red bicycle"], size="4K") == "4K"  # made by CallOptions(size="4K")
    ```

    Type checkers, `help()` and editors see every keyword with its type; an unknown one is a
    TypeError that says where it belongs.
    """

    def __init__(self, kind: Callable[P, Options]) -> None:
        self._kind: Any = kind

    @overload
    def __call__(
        self, function: Callable[[First, Options], Result]
    ) -> Callable[Concatenate[First, P], Result]: ...

    @overload
    def __call__(
        self, function: Callable[[First, Second, Options], Result]
    ) -> Callable[Concatenate[First, Second, P], Result]: ...

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        kind, signature = self._kind, _signature(function, self._kind)
        leading = list(inspect.signature(function).parameters)[:-1]
        names = inspect.signature(kind).parameters.keys()
        name = function.__name__
        if name == "__init__":
            name = function.__qualname__.split(".")[0]

        def call(*args: Any, **given: Any) -> Any:
            of_client = () if issubclass(kind, ClientOptions) else _OF_CLIENT
            refuse_unknown(name, given.keys() - set(leading), names, of_client)
            refuse_missing(name, [each for each in leading[len(args) :] if each not in given])
            arguments = signature.bind(*args, **given).arguments
            first = [arguments.pop(parameter) for parameter in leading]
            return function(*first, kind(**arguments))

        if not inspect.iscoroutinefunction(function):
            return _named(call, function, kind, signature)

        async def call_async(*args: Any, **given: Any) -> Any:
            return await call(*args, **given)

        return _named(call_async, function, kind, signature)


_OF_CLIENT = inspect.signature(ClientOptions).parameters.keys() - {"endpoint", "api_key"}


def _signature(function: Callable[..., Any], kind: type[Any]) -> inspect.Signature:
    """That of the function, with the fields of `kind` for its last parameter."""
    own, types = inspect.signature(function), get_type_hints(kind)
    fields = [
        parameter.replace(annotation=types[name])
        for name, parameter in inspect.signature(kind).parameters.items()
    ]
    return own.replace(parameters=[*list(own.parameters.values())[:-1], *fields])


def _named(
    call: Callable[..., Any],
    function: Callable[..., Any],
    kind: type[Any],
    signature: inspect.Signature,
) -> Callable[..., Any]:
    """The call under the name and with the documentation of the function."""
    named = wraps(function)(call)
    named.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads first
    options = "\n".join(
        textwrap.fill(f"{name}: {text}", 96, initial_indent="    ", subsequent_indent=" " * 8)
        for name, text in texts_of(kind).items()
    )
    named.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nOptions:\n{options}\n"
    return named
