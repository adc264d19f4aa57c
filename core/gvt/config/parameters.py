"""Parameters of components, checked against the signatures of their constructors."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from gvt.config.injected import INJECTED
from gvt.config.named import Build, taking_names, target_of
from gvt.config.paths import PATH_NAME, RecipePath, expanded, items_in, mapped
from gvt.errors import ConfigError
from gvt.printable import quoted
from gvt_registry import default_registry, nearest

_SIGNS = {
    "gt": ">", "ge": ">=", "lt": "<", "le": "<=",
    "multiple_of": "divisible by", "min_length": "at least",
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """A parameter of a constructor; `default` is `inspect.Parameter.empty` if it is required."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def type_name(self) -> str:
        """The annotation as text for a reader; empty if there is none."""
        return "" if self.annotation is Any else _written(self.annotation)


@dataclass(frozen=True)
class PassedTo:
    """Mark the `**` parameter of a constructor as passed on to another class or function.

    The parameters of `target` are then parameters of the constructor, too: a recipe gives them by
    name, `gvt config` and `gvt show` list them, and they are declared and documented once::

        def __init__(self, num_classes: int, **rest: Annotated[Any, gvt.PassedTo(Base)]) -> None:
            super().__init__(num_classes, **rest)

    If both have a parameter of one name, that of the constructor is used.

    Attributes:
        target: The class or function, such as a base class or a dataclass of settings.
    """

    target: Callable[..., Any]


@dataclass(frozen=True)
class Unbuilt:
    """A component with checked parameters, to be built when the data is known.

    Attributes:
        kind: Kind of the component.
        name: Name in the registry.
        target: Class or function.
        parameters: The checked parameters.
        given: The parameters before they were checked and converted.
    """

    kind: str
    name: str
    target: Callable[..., Any]
    parameters: Mapping[str, Any]
    given: Mapping[str, Any]


def _written(annotation: Any) -> str:
    """Return a type as text, with pydantic's constraints in mathematical signs: `int > 0`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        base, *extras = arguments
        if any(getattr(extra, "func", None) is RecipePath for extra in extras):
            return "path"
        parts = [part for extra in extras for part in getattr(extra, "metadata", [extra])]
        signs = [
            f"{sign} {getattr(part, name)}"
            for part in parts
            for name, sign in _SIGNS.items()
            if hasattr(part, name)
        ]
        return " ".join([_written(base), ", ".join(signs)]).strip()
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_written, arguments))
    if isinstance(annotation, type) and not arguments:
        return "None" if annotation is type(None) else annotation.__name__
    if isinstance(origin, type) and not any(isinstance(a, list) for a in arguments):
        inside = ("..." if a is ... else _written(a) for a in arguments)
        return f"{origin.__name__}[{', '.join(inside)}]"
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def signature_of(target: Callable[..., Any]) -> tuple[dict[str, Parameter], bool]:
    """Return the parameters of a constructor by name, and whether it takes any others, too."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # some built-in callables have none
        return {}, True
    hints = _hints(target)
    declared: dict[str, Parameter] = {}
    takes_any = False
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            declared[name] = Parameter(name, hints.get(name, Any), parameter.default)
        elif parameter.kind is parameter.VAR_KEYWORD:  # the last one
            callee = _passed_to(hints)
            passed_on, takes_any = signature_of(callee) if callee else ({}, True)
            declared = {**declared, **passed_on, **declared}
    return declared, takes_any


def declaring(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield a class or function, and those that its parameters are passed on to."""
    yield target
    if callee := _passed_to(_hints(target)):
        yield from declaring(callee)


def type_hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the parameters of a constructor by name.

    Raises:
        NameError: If an annotation cannot be resolved in its module; or another error of
            `typing.get_type_hints`.
    """
    source: Any = target
    if isinstance(target, type):
        owner = next(member for member in inspect.getmro(target) if "__init__" in vars(member))
        # The constructor of a dataclass has the annotations of its bases as text of their modules.
        source = owner if "__dataclass_fields__" in vars(owner) else vars(owner)["__init__"]
    return typing.get_type_hints(source, include_extras=True)


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return type_hints(target)
    except (NameError, TypeError, AttributeError):
        return {}  # an annotation that cannot be resolved here constrains nothing


def _passed_to(hints: Mapping[str, Any]) -> Callable[..., Any] | None:
    extras = (extra for hint in hints.values() for extra in getattr(hint, "__metadata__", ()))
    return next((extra.target for extra in extras if isinstance(extra, PassedTo)), None)


def check_parameters(
    where: str,
    target: Callable[..., Any],
    parameters: Mapping[str, Any],
    injected: Collection[str] = (),
) -> dict[str, Any]:
    """Return the parameters of a component, converted to the types of their annotations.

    Paths are not expanded; `construct` does it.

    Args:
        where: Section of the recipe, for messages.
        target: Class or function of the component.
        parameters: The parameters by name.
        injected: Names of parameters that gvt fills in itself.

    Raises:
        ConfigError: If one is unknown, of a wrong type, filled in by gvt, or missing.
    """
    declared, takes_any = signature_of(target)
    configurable = {n: p for n, p in declared.items() if n not in injected}
    label = getattr(target, "__name__", str(target))
    checked = {}
    for name, value in parameters.items():
        if name in injected:
            raise ConfigError(f"{where}.{name}: is filled in by gvt and cannot be configured")
        if name in configurable:
            checked[name] = convert(f"{where}.{name}", configurable[name].annotation, value)
            if name == PATH_NAME and isinstance(checked[name], str):
                checked[name] = RecipePath(checked[name])
        elif takes_any:
            checked[name] = value
        else:
            hint = nearest(name, configurable)
            hint = hint or f"; its parameters: {', '.join(configurable) or 'none'}"
            if any(o.component.name == name for o in default_registry().offers("transform")):
                hint = f"; it is a transform: data.transforms=[{{name: {name}}}]"
            raise ConfigError(f"{where}.{name}: {label} has no parameter {quoted(name)}{hint}")
    for name, parameter in configurable.items():
        if parameter.required and name not in checked:
            raise ConfigError(f"{where}.{name}: is missing; {label} needs it")
    return checked


def construct(where: str, target: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a constructor with checked parameters, in which paths are expanded.

    If the weights of a checkpoint follow, a variable that is not set stays in its path.

    Raises:
        ConfigError: If it raises an error of Python or torch for its arguments, or a path has an
            environment variable that is not set.
    """

    def expand(place: str, item: Any) -> Any:
        if not isinstance(item, RecipePath | PurePath):
            return item
        path = expanded(place, str(item), about=_about(arguments))
        return type(item)(path) if isinstance(item, PurePath) else path

    try:
        return target(**mapped(where, dict(arguments), expand))
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        # torch raises the first three: for 0 groups, and for sizes that exceed any memory.
        label = getattr(target, "__name__", str(target))
        raise ConfigError(f"{where}: {label}: {str(error) or type(error).__name__}") from error


def paths_in(where: str, value: Any, about: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (place, path, about) of every path in checked parameters, not expanded.

    `about` is the parameter of that name of the same component, such as where its data is
    available.
    """
    for place, item in items_in(where, value):
        if isinstance(item, RecipePath | PurePath):
            yield place, str(item), about
        elif isinstance(item, Unbuilt):
            yield from paths_in(place, item.parameters, _about(item.parameters) or about)


def _about(parameters: Mapping[str, Any]) -> str:
    about = parameters.get("about")
    return about if isinstance(about, str) else ""


def components_in(
    target: Callable[..., Any], parameters: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return the kind and name of each component in valid parameters."""
    components: list[tuple[str, str]] = []

    def note(kind: str, name: str, inner: Mapping[str, Any]) -> None:
        components.append((kind, name))
        components.extend(components_in(target_of(kind, name), inner))

    with_components(target, parameters, note)
    return components


def with_components(
    target: Callable[..., Any], parameters: Mapping[str, Any], change: Build
) -> dict[str, Any]:
    """Return valid parameters, as plain data, in which components are replaced.

    Args:
        target: Class or function that the parameters are for.
        parameters: The parameters by name.
        change: Called with a component, for the value in its place.

    Raises:
        ConfigError: If a parameter is of another type.
    """
    changed = dict(parameters)
    for name, parameter in signature_of(target)[0].items():
        takes_names = taking_names(parameter.annotation, change) is not parameter.annotation
        if takes_names and changed.get(name) is not None:
            value = convert(name, parameter.annotation, changed[name], change)
            with suppress(TypeError):  # objects from code have no names
                changed[name] = json.loads(json.dumps(value))
    return changed


def _component(kind: str, name: str, parameters: Mapping[str, Any]) -> Any:
    """Build a loss or a metric from its name and parameters; leave other components unbuilt.

    Raises:
        ConfigError: If it does not exist, or a parameter does not fit; `convert` prepends the
            place.
    """
    target = target_of(kind, name)
    injected = INJECTED.get(kind, frozenset())
    checked = check_parameters("", target, parameters, injected)
    if injected or waits(checked) or any(paths_in("", checked)):
        return Unbuilt(kind, name, target, checked, parameters)
    return construct("", target, checked)


def convert(where: str, annotation: Any, value: Any, build: Build = _component) -> Any:
    """Return a value from YAML, converted to the type of an annotation.

    Components in it are built by `build`.

    Raises:
        ConfigError: If it is of another type.
    """
    if annotation is Any:
        return value
    try:
        adapter = _adapter(taking_names(annotation, build))
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value  # a type that data cannot represent: the constructor checks it
    try:
        # JSON has the right strict rules: a list is a tuple, but true is not 1.
        return adapter.validate_json(json.dumps(value), strict=True)
    except ConfigError as error:  # of a component in the value
        text = str(error)
        raise ConfigError(f"{where}{'' if text[0] in '.:' else ': '}{text}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        try:  # JSON lacks abstract types such as Number
            return adapter.validate_python(value, strict=True)
        except ValidationError as of_python:
            if problem["type"] == "needs_python_object":
                problem = of_python.errors(include_url=False)[0]
        message = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
        raise ConfigError(
            f"{where}: {message}, not {quoted(value)}; it takes {_written(annotation)}"
        ) from error
    except TypeError:  # not plain data: an object from code
        return value


def waits(value: Any) -> bool:
    """Return whether the value of a parameter contains a component that is not built yet."""
    return any(isinstance(item, Unbuilt) for _, item in items_in("", value))


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type that has a configuration takes no other one
        return TypeAdapter(annotation)
