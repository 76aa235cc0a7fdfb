"""For the reference: a function that takes an option value shows the keywords that it really has.

griffe reads the code without running it, and sees `options: CallOptions` where
`@takes(CallOptions)` gives the function the fields of that class as keywords.
"""

from typing import Any

import griffe


class KeywordOptions(griffe.Extension):
    """Replaces `options` by the fields, with what their classes say of them."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """The package is read, and its dataclasses have their parameters."""
        self._visit(pkg)

    def _visit(self, place: griffe.Module | griffe.Class) -> None:
        for member in list(place.members.values()):
            if isinstance(member, griffe.Function):
                self._expand(member)
            elif isinstance(member, griffe.Module | griffe.Class):
                self._visit(member)

    def _expand(self, function: griffe.Function) -> None:
        kinds = [
            str(each.value).removeprefix("takes(").removesuffix(")")
            for each in function.decorators
            if str(each.value).startswith("takes(")
        ]
        if not kinds or "options" not in function.parameters:
            return
        kind = function.modules_collection[function.resolve(kinds[0])]
        kind = kind.final_target if kind.is_alias else kind
        del function.parameters["options"]
        for parameter in kind.parameters:
            if parameter.name != "self":
                function.parameters.add(parameter)
        own = function.parameters
        lines = [f"    {name}: {text}" for name, text in _texts(kind).items() if name in own]
        if lines and function.docstring is not None:
            function.docstring.value += "\n\nKeyword Args:\n" + "\n".join(lines)


def _texts(kind: griffe.Class) -> dict[str, str]:
    """What the class and its bases say of each field."""
    found: dict[str, str] = {}
    for each in (kind, *kind.mro()):
        if each.docstring is None:
            continue
        for section in each.docstring.parse("google", warnings=False):
            if section.kind is griffe.DocstringSectionKind.attributes:
                for attribute in section.value:
                    text = " ".join(attribute.description.split())
                    found.setdefault(attribute.name, text)
    return found
