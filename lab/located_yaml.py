"""YAML files whose errors name the file, the line and the field.

A file is composed into nodes first, so that every value keeps the line it stands on; a
pydantic complaint about that value can then be told as ``file:line: field: what is wrong``.
Booleans and numbers follow YAML 1.2 (``on`` and ``off`` are plain words, ``125e6`` is a
number), because passes are called ``on`` and ``off`` here.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lab.errors import LabError
from lab.paths import shown

Loc = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


class _Loader(yaml.CSafeLoader):
    """A safe loader with the booleans and floats of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp)
        for tag, regexp in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?\.(?:inf|Inf)$|^\.(?:nan|NaN)$"
    ),
    list("-+0123456789."),
)


@dataclass
class Document:
    """Plain data with the line of every value.

    ``lines`` maps a location such as ``("streams", 3, "from")`` to a line (from 1);
    ``options`` maps a location that the command line set to that option's text.
    """

    path: Path
    data: Any
    lines: dict[Loc, int] = field(default_factory=dict)
    options: dict[Loc, str] = field(default_factory=dict)

    def where(self, loc: Sequence[str | int]) -> str:
        """``file:line`` of the innermost known value on the way to ``loc``, or the option."""
        here = tuple(loc)
        for option_loc, text in self.options.items():
            if here[: len(option_loc)] == option_loc or option_loc[: len(here)] == here:
                return f"option --set {text}"
        while here and here not in self.lines:
            here = here[:-1]
        return f"{shown(self.path)}:{self.lines.get(here, 1)}"

    def error(
        self,
        loc: Sequence[str | int],
        what: str,
        *,
        allowed: Iterable[str] = (),
        given: str = "",
        remedy: str = "",
    ) -> LabError:
        """A ``LabError`` for the value at ``loc``; its remedy, if not given, the allowed values."""
        text = f"{self.where(loc)}: {dotted(loc)}: {what}" if loc else f"{self.where(loc)}: {what}"
        return LabError(text, remedy=remedy or allowed_text(allowed, given))


def dotted(loc: Sequence[str | int]) -> str:
    """``("streams", 3, "from")`` -> ``streams[3].from``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def allowed_text(allowed: Iterable[str], given: str = "") -> str:
    """Allowed values in words, nearest spelling first; long lists are cut."""
    names = list(allowed)
    if not names:
        return ""
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5) if given else []
    listed = ", ".join(names[:24]) + (f", ... ({len(names)} in all)" if len(names) > 24 else "")
    return (f"did you mean {near[0]}? " if near else "") + f"allowed: {listed}"


def _construct(node: yaml.Node, loc: Loc, document: Document, loader: _Loader) -> object:
    document.lines[loc] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(getattr(key_node, "value", ""))
            line = key_node.start_mark.line + 1
            if key in mapping:
                raise LabError(f"{shown(document.path)}:{line}: {dotted((*loc, key))}: given twice")
            mapping[key] = _construct(value_node, (*loc, key), document, loader)
            document.lines[(*loc, key)] = line
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(child, (*loc, index), document, loader)
            for index, child in enumerate(node.value)
        ]
    return _scalar(loader, node)


def _scalar(loader: _Loader, node: yaml.Node) -> object:
    value: object = loader.construct_object(node)
    return value


def parse(text: str, path: Path) -> Document:
    """Parse YAML text; ``path`` is used in messages.

    Raises:
        LabError: when the text is no YAML, or a mapping has a key twice.
    """
    document = Document(path=path, data=None)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            document.data = _construct(node, (), document, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise LabError(f"{shown(path)}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise LabError(f"{shown(path)}: not valid YAML: {error}") from error
    finally:
        loader.dispose()
    return document


def read(path: Path) -> Document:
    """Read and parse a file; raises ``LabError`` when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{shown(path)}: cannot be read: {error}") from error
    return parse(text, path)


def parse_value(text: str) -> object:
    """One value as it would be read inside a file (number, word, list, mapping)."""
    data: object = parse(text, Path("value")).data
    return data


def validate(model: type[M], document: Document, loc: Loc = ()) -> M:
    """Turn the value at ``loc`` into ``model``; the first complaint becomes a ``LabError``."""
    data = document.data
    for part in loc:
        data = data[part]
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _told(model, document, loc, error) from error


def _told(
    model: type[BaseModel], document: Document, base: Loc, error: ValidationError
) -> LabError:
    # Unknown keys first: a misspelt key also shows up as a missing one, which misleads.
    complaints = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    first = complaints[0]
    inner = _clean(first["loc"], document, base)
    loc = base + inner
    kind = first["type"]
    if kind == "extra_forbidden":
        owner = _model_at(model, inner[:-1])
        return document.error(
            loc, "unknown key", allowed=_keys(owner) if owner else (), given=str(loc[-1])
        )
    if kind == "missing":
        return document.error(loc, "this key is required")
    given = first.get("input")
    if kind in ("literal_error", "enum"):
        expected = str(first.get("ctx", {}).get("expected", ""))
        allowed = re.findall(r"'([^']*)'", expected)
        return document.error(loc, f"{given!r} is not allowed", allowed=allowed, given=str(given))
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error":
        return document.error(loc, message)
    shown_value = "nothing" if given is None else repr(given)
    if isinstance(given, (dict, list)):
        shown_value = "a mapping" if isinstance(given, dict) else "a list"
    return document.error(loc, f"{shown_value} is not allowed; it should be {message}")


def _clean(loc: Loc, document: Document, base: Loc) -> Loc:
    """Drop the parts of a pydantic location that name union branches, not places in the file."""
    known: list[str | int] = []
    for index, part in enumerate(loc):
        trial = (*base, *known, part)
        if trial in document.lines or index == len(loc) - 1 or _set_by_option(trial, document):
            known.append(part)
    while known and isinstance(known[-1], str) and re.search(r"[\[(]|^(float|int|str)$", known[-1]):
        known.pop()
    return tuple(known)


def _set_by_option(loc: Loc, document: Document) -> bool:
    return any(option[: len(loc)] == loc for option in document.options)


def _keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The model that the value at ``loc`` inside ``model`` is read into."""
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        if current is None:
            return None
        found: Any = None
        for name, info in current.model_fields.items():
            if part in (name, info.alias):
                found = info.annotation
        current = _first_model(found)
    return current


def _first_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for inner in typing.get_args(annotation):
        model = _first_model(inner)
        if model is not None:
            return model
    return None


def apply_options(document: Document, options: Mapping[str, str]) -> None:
    """Apply ``--set a.b.c=value`` options to the data before it is validated.

    A part of the path may be a list index or the ``name`` of a list's element
    (``streams.bg2.to=n5``). Missing mappings on the way are made; whether the keys exist is
    for the schema to say, which then names the option.
    """
    for path, text in options.items():
        option = f"{path}={text}"
        target: Any = document.data
        loc: list[str | int] = []
        parts = path.split(".")
        for index, part in enumerate(parts):
            key: str | int = _index(target, part, option) if isinstance(target, list) else part
            loc.append(key)
            if index == len(parts) - 1:
                target[key] = _option_value(text, option)
            else:
                if isinstance(target, dict) and target.get(part) is None:
                    target[part] = {}
                target = target[key]
                if not isinstance(target, (dict, list)):
                    raise LabError(f"option --set {option}: {dotted(loc)} has no parts to set")
        document.options[tuple(loc)] = option


def _index(items: list[Any], part: str, option: str) -> int:
    names = [str(item.get("name")) for item in items if isinstance(item, dict) and "name" in item]
    if part in names:
        return next(
            i for i, item in enumerate(items) if isinstance(item, dict) and item.get("name") == part
        )
    if part.isdigit() and int(part) < len(items):
        return int(part)
    known = names or [str(i) for i in range(len(items))]
    raise LabError(
        f"option --set {option}: no element {part!r} in the list",
        remedy=allowed_text(known, part),
    )


def _option_value(text: str, option: str) -> object:
    try:
        return parse_value(text)
    except LabError as error:
        raise LabError(f"option --set {option}: the value is no YAML: {error.message}") from error
