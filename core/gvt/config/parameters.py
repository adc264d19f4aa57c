"""A component's parameters, as its constructor's signature declares them."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from gvt.config.injected import INJECTED
from gvt.config.named import taking_names, target_of
from gvt.config.paths import PATH_NAME, RecipePath, expanded, with_paths_expanded
from gvt.config.pretrained import restoring
from gvt.errors import ConfigError
from gvt.printable import quoted
from gvt_registry import nearest

REQUIRED: Any = inspect.Parameter.empty

_SIGNS = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "multiple_of": "divisible by",
    "min_length": "at least",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor; `default` is `REQUIRED` where it has none."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """The annotation as people write it, empty where there is none."""
        return "" if self.annotation is Any else _written(self.annotation)


@dataclass(frozen=True)
class PassedTo:
    """Marks the `**` parameter of a constructor as passed on to another class or function.

    The parameters of `target` are then those of the constructor as well: a recipe gives them by
    name, `gvt config` and `gvt show` list them, and they are declared and documented once::

        def __init__(self, num_classes: int, **rest: Annotated[Any, gvt.PassedTo(Base)]) -> None:
            super().__init__(num_classes, **rest)

    A parameter that both have is the constructor's.

    Attributes:
        target: The class, such as a base class or a dataclass of settings, or the function.
    """

    target: Callable[..., Any]


@dataclass(frozen=True)
class Unbuilt:
    """A component whose parameters are checked, and that is built once the data is known."""

    kind: str
    name: str
    target: Callable[..., Any]
    parameters: Mapping[str, Any]


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
    """Return a constructor's parameters by name, and whether it takes any other as well."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # some built-in callables have none
        return {}, True
    hints = _hints(target)
    declared: dict[str, Parameter] = {}
    passed_on: dict[str, Parameter] = {}
    takes_any = False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            other = _passed_to(hints)
            passed_on, takes_any = signature_of(other) if other else ({}, True)
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            annotation = hints.get(name, Any)
            declared[name] = Parameter(name, annotation, parameter.default)
    return {**declared, **{n: p for n, p in passed_on.items() if n not in declared}}, takes_any


def declaring(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield a class or function, and those to which its parameters are passed on."""
    yield target
    if other := _passed_to(_hints(target)):
        yield from declaring(other)


def type_hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a constructor's parameters by name.

    Raises:
        NameError: If an annotation cannot be resolved where it is written; or another error of
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
    given: Mapping[str, Any],
    injected: Collection[str] = (),
) -> dict[str, Any]:
    """Return the given parameters as their annotated types; paths wait for `construct`.

    Args:
        where: The section of the recipe, which an error begins with.
        target: The class or function that they are for.
        given: The parameters by name.
        injected: Names that gvt fills in itself.

    Raises:
        ConfigError: If one is unknown, of a wrong type, filled in by gvt, or missing.
    """
    declared, takes_any = signature_of(target)
    configurable = {n: p for n, p in declared.items() if n not in injected}
    label = getattr(target, "__name__", str(target))
    checked = {}
    for name, value in given.items():
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
            known = ", ".join(configurable) or "none"
            raise ConfigError(
                f"{where}.{name}: {label} has no parameter {quoted(name)}"
                + (hint or f"; its parameters: {known}")
            )
    for name, parameter in configurable.items():
        if parameter.required and name not in checked:
            raise ConfigError(f"{where}.{name}: is missing; {label} needs it")
    return checked


def construct(where: str, target: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a constructor with checked parameters, in which paths are expanded.

    Where a checkpoint's weights follow, a variable that is not set stays in its path.

    Raises:
        ConfigError: If it refuses its arguments with an error of Python's or of torch's, or a path
            has an environment variable that is not set.
    """
    about, strict = _about(arguments), not restoring()
    arguments = {
        name: with_paths_expanded(f"{where}.{name}", value, about, strict=strict)
        for name, value in arguments.items()
    }
    try:
        return target(**arguments)
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        # torch raises the first three: for groups of 0, and for sizes that no memory holds.
        label = getattr(target, "__name__", str(target))
        raise ConfigError(f"{where}: {label}: {str(error) or type(error).__name__}") from error


def paths_in(where: str, value: Any, about: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (place, path, about) of every path in checked parameters, not expanded.

    Here `about` is what the component has under that name, such as where its data is to be had.
    """
    if isinstance(value, RecipePath | PurePath):
        yield where, value.text if isinstance(value, RecipePath) else str(value), about
    elif isinstance(value, Unbuilt):
        yield from paths_in(where, value.parameters, _about(value.parameters) or about)
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            yield from paths_in(f"{where}.{key}", inside, about)
    elif isinstance(value, list | tuple):
        for index, inside in enumerate(value):
            yield from paths_in(f"{where}[{index}]", inside, about)


def check_variables(where: str, component: Unbuilt) -> None:
    """Check that the environment variables in the paths of a component are set.

    Raises:
        ConfigError: If one is not.
    """
    for place, path, about in paths_in(where, component):
        expanded(place, path, about=about)


def _about(parameters: Mapping[str, Any]) -> str:
    about = parameters.get("about")
    return about if isinstance(about, str) else ""


def components_in(target: Callable[..., Any], given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (kind, name) of each component that valid parameters name."""
    found: list[tuple[str, str]] = []

    def note(kind: str, of_one: Mapping[str, Any]) -> Mapping[str, Any]:
        found.append((kind, of_one["name"]))
        found.extend(components_in(target_of(kind, of_one["name"]), of_one))
        return of_one

    with_components(target, given, note)
    return found


def with_components(
    target: Callable[..., Any],
    given: Mapping[str, Any],
    change: Callable[[str, Mapping[str, Any]], Any],
) -> dict[str, Any]:
    """Return valid parameters in which components are replaced, as plain data.

    Args:
        target: The class or function that they are for.
        given: The parameters by name.
        change: Called with a component's kind and what the parameters say of it.

    Raises:
        ConfigError: If a parameter is of another type.
    """
    declared, _ = signature_of(target)
    changed = dict(given)
    for name, parameter in declared.items():
        annotation = taking_names(parameter.annotation, change)
        if annotation is not parameter.annotation and given.get(name) is not None:
            try:
                value = _adapter(annotation).validate_json(json.dumps(given[name]), strict=True)
                changed[name] = json.loads(json.dumps(value))
            except ValidationError as error:
                said = _said(error.errors(include_url=False)[0])
                raise ConfigError(f"{name}: {said}, not {quoted(given[name])}") from error
            except TypeError:  # objects handed over in code have no names
                continue
    return changed


def convert(where: str, annotation: Any, value: Any) -> Any:
    """Return a value from YAML as what an annotation asks for.

    Raises:
        ConfigError: If it is of another type.
    """
    if annotation is Any:
        return value
    try:
        adapter = _adapter(taking_names(annotation, _component))
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value  # a type that data cannot describe: the constructor judges it
    try:
        # JSON's strict rules are the right ones: a list is a tuple, but true is not 1.
        return adapter.validate_json(json.dumps(value), strict=True)
    except ConfigError as error:  # of a component that is named inside
        text = str(error)
        raise ConfigError(f"{where}{'' if text[0] in '.:' else ': '}{text}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        try:  # JSON knows nothing of abstract types such as Number
            return adapter.validate_python(value, strict=True)
        except ValidationError as other:
            if problem["type"] == "needs_python_object":
                problem = other.errors(include_url=False)[0]
        name = Parameter("", annotation, None).type_name
        raise ConfigError(
            f"{where}: {_said(problem)}, not {quoted(value)}; it takes {name}"
        ) from error
    except TypeError:  # not plain data: an object handed over in code
        return value


def _component(kind: str, given: Mapping[str, Any]) -> Any:
    """Build a loss or a metric of what a recipe says of it; others wait for what gvt fills in.

    Raises:
        ConfigError: If there is none of that name, or a parameter does not fit; `convert` puts
            the place before it.
    """
    parameters = dict(given)
    name = parameters.pop("name")
    target = target_of(kind, name)
    injected = INJECTED.get(kind, frozenset())
    checked = check_parameters("", target, parameters, injected)
    if injected or waits(checked) or any(paths_in("", checked)):
        return Unbuilt(kind, name, target, checked)
    return construct("", target, checked)


def waits(value: Any) -> bool:
    """Return whether something in a parameter's value is still to be built."""
    if isinstance(value, Mapping):
        value = list(value.values())
    return isinstance(value, Unbuilt) or (
        isinstance(value, list | tuple) and any(map(waits, value))
    )


def _said(problem: Mapping[str, Any]) -> str:
    """Return what pydantic found, without its own beginnings."""
    return str(problem["msg"]).removeprefix("Input ").removeprefix("Value error, ")


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type with a configuration of its own takes no other
        return TypeAdapter(annotation)
