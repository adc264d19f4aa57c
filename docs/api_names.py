"""The public names of gvt, read from its source by griffe; nothing is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import griffe

HOOKS = "Hooks"
KIT = "For a plugin's tests"

SECTIONS = {
    "Running, and what was run": (
        *("session.api", "session.opened", "session.saved", "session.judging", "gvt_code"),
        *("loop.evaluation", "gvt_predict", "gvt_report", "gvt_multi"),
    ),
    "Interfaces": ("interfaces", "heads", "vision.layers", "deprecation"),
    "Data": ("batch", "data", "data_info", "vision.pictures", "gvt_data"),
    "The loop, in code": ("loop", "device", "runs.display", "seeding"),
    "Configuration": ("config", "session.component"),
    "Errors": ("errors",),
    KIT: (),
}
"""Sections of the page and the modules of `gvt` whose names they list; others are `Others`."""

AT_RUN_TIME = {"register": "gvt_registry.registry.Registry.register"}
"""What is a method of an object, by the name that it has in `gvt`."""


PROTOCOL = ("__call__", "__getitem__", "__len__")
"""Methods that are public in spite of their underscores, where a class states them."""


@dataclass(frozen=True)
class Name:
    """One public name.

    Attributes:
        path: Where it is imported from, `gvt.Trainer`; of a member `gvt.Trainer.fit`.
        kind: `class`, `function`, `attribute` or `hook`.
        section: The section of the page.
        signature: As the code has it, with types.
        call: The same without types, which changes are told from.
        summary: First line of the docstring.
        source: Its file, relative to the repository.
        owner: The class's path, of a member.
    """

    path: str
    kind: str
    section: str
    signature: str
    call: str
    summary: str
    source: str
    owner: str = ""

    @property
    def short(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def public_names(sources: Sequence[Path], root: Path) -> list[Name]:
    """Return all that is public, members behind their class, in the order of the page.

    Args:
        sources: The folders that `gvt`, `gvt_registry` and `gvt_author` are in.
        root: The repository.
    """
    packages = _loaded(sources)
    found: list[Name] = []
    of_plugins = _names_of_plugins(sources)
    for path, thing in _exported(packages, of_plugins):
        found += _described(path, thing, root)
    titles = [*SECTIONS, "Others", *dict.fromkeys(n.section for n in found), "Registry", HOOKS]
    return sorted(found, key=lambda name: titles.index(name.section))


def api_version(sources: Sequence[Path]) -> int:
    """Return the version of the plugin API that the code states."""
    return int(str(_loaded(sources)["gvt_registry.hookspecs.API_VERSION"].value))


def _loaded(sources: Sequence[Path]) -> griffe.ModulesCollection:
    loader = griffe.GriffeLoader(search_paths=sources)
    of_plugins = {
        place.split(":")[0].split(".")[0] for place in _names_of_plugins(sources).values()
    }
    for package in ("gvt_registry", "gvt", "gvt_author", *sorted(of_plugins - {"gvt_author"})):
        loader.load(package)
    loader.resolve_aliases()
    return loader.modules_collection


def _names_of_plugins(sources: Sequence[Path]) -> dict[str, str]:
    """Return what our plugins offer as `gvt.NAME` by `gvt_names`, each name with its target."""
    targets: dict[str, str] = {}
    for path in sorted(path for source in sources for path in source.glob("*/plugin.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == "gvt_names":
                (answer,) = (n.value for n in node.body if isinstance(n, ast.Return))
                assert answer is not None
                targets |= ast.literal_eval(answer)
    return targets


def _exported(packages: Any, of_plugins: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    public: set[str] = set()
    for module, name in _names_of_core(packages["gvt"]):
        target = packages[AT_RUN_TIME[name]] if name in AT_RUN_TIME else _target(module[name])
        if target.path not in public:  # `gvt` has some names of its submodules
            public.add(target.path)
            yield f"{module.path}.{name}", target
    for name, place in of_plugins.items():
        if ":" in place:  # a module is in a section of its own
            yield f"gvt.{name}", _target(packages[place.replace(":", ".")])
    for package in ("gvt_author.testing", "gvt_registry"):
        module = packages[package]
        for name in module.exports:
            yield f"{package}.{name}", _target(module[str(name)])
            if package in of_plugins.values():  # which is a name of gvt as well
                offered = next(n for n, place in of_plugins.items() if place == package)
                yield f"gvt.{offered}.{name}", _target(module[str(name)])
    for name, hook in packages["gvt_registry.hookspecs"].members.items():
        if name.startswith("gvt_"):
            yield name, hook


def _names_of_core(module: Any) -> Iterator[tuple[Any, str]]:
    """Return the public names of `gvt`, then those of its public submodules, each with its module.

    The names of a package are in its stub, `__init__.pyi`; those of another module in `__all__`.
    """
    stub = module.filepath.with_name("__init__.pyi")
    if module.is_init_module and stub.exists():
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                yield from ((module, alias.name) for alias in node.names)
    else:
        yield from ((module, str(name)) for name in module.exports or ())
    for _, submodule in sorted(module.modules.items()):
        yield from _names_of_core(submodule)


def _target(thing: Any) -> Any:
    found = thing.final_target if thing.is_alias else thing
    # A function may bear the name of the module that it is in, and is meant then.
    return found[found.name] if found.is_module else found


def _described(path: str, thing: Any, root: Path) -> Iterator[Name]:
    section = _section(path, thing)
    source = Path(thing.filepath).relative_to(root).as_posix()

    def name(path: str, thing: Any, owner: str = "") -> Name:
        kind = "hook" if section == HOOKS else thing.kind.value
        return Name(path, kind, section, *_signatures(thing), _summary(thing), source, owner)

    yield name(path, thing)
    if not thing.is_class:
        return
    texts = _attribute_texts(thing)
    taken = {p.name for p in _parameters(thing)}
    for member_name, member in thing.members.items():
        # What only `self.x = ...` makes is the class's own business unless the docstring has it.
        own = {"class-attribute", "instance-attribute"} & member.labels == {"instance-attribute"}
        documented = member_name in texts or not own
        hidden = member_name.startswith("_") and member_name not in PROTOCOL
        hidden |= member_name == "model_config" or member_name in taken
        if not hidden and documented and not member.is_alias:
            found = name(f"{path}.{member_name}", member, path)
            yield replace(found, summary=texts.get(member_name, found.summary))


def _section(path: str, thing: Any) -> str:
    module, home = path.rpartition(".")[0], thing.module.path
    if module.startswith("gvt."):
        return f"`{module}`" if home.startswith("gvt.") else KIT
    if path.startswith("gvt_"):
        return {"gvt_registry": "Registry", "gvt_author.testing": KIT}.get(module, HOOKS)
    for title, modules in SECTIONS.items():
        if any(f"{home}.".startswith((f"gvt.{m}.", f"{m}.")) for m in modules):
            return title
    return "Registry" if home.startswith("gvt_registry") else "Others"


def _signatures(thing: Any) -> tuple[str, str]:
    """Return the signature with types, and the one without."""
    if thing.is_attribute:
        typed = f": {thing.annotation}" if thing.annotation is not None else ""
        # A computed value is the code's own business; a stated one is part of the contract.
        computed = "property" in thing.labels or thing.labels == {"instance-attribute"}
        stated = thing.value is not None and not computed
        value = f" = {thing.value}" if stated else ""
        return typed + value, value.strip()
    parameters = _parameters(thing)
    if thing.is_class and not parameters:
        return "", "()"
    returned = f" -> {thing.returns}" if thing.is_function and thing.returns else ""
    return f"({_listed(parameters, types=True)}){returned}", f"({_listed(parameters)})"


def _parameters(thing: Any) -> list[griffe.Parameter]:
    """Return the parameters of a call, without `self`; those of a pydantic model are its fields."""
    if thing.is_attribute:
        return []
    if thing.is_class and _is_model(thing):
        return _fields(thing)
    try:
        parameters = list(thing.parameters)
    except KeyError:
        return []
    bound = thing.is_class or (thing.parent is not None and thing.parent.is_class)
    if bound and parameters and parameters[0].name in ("self", "cls"):
        return parameters[1:]
    return parameters


def _is_model(thing: Any) -> bool:
    bases = [b for c in (thing, *thing.mro()) for b in c.bases]
    return any(getattr(b, "canonical_path", "") == "pydantic.BaseModel" for b in bases)


def _fields(model: Any) -> list[griffe.Parameter]:
    classes = [*reversed(model.mro()), model]
    fields = {
        name: griffe.Parameter(
            name,
            annotation=member.annotation,
            kind=griffe.ParameterKind.keyword_only,
            default=None if member.value is None else str(member.value),
        )
        for each in classes
        for name, member in each.members.items()
        if member.is_attribute and member.annotation and "property" not in member.labels
    }
    # Required ones first, as everywhere; keywords have no order of their own.
    found = sorted(fields.values(), key=lambda f: f.default is not None)
    if any(
        "extra='allow'" in str(c.members["model_config"].value)
        for c in classes
        if "model_config" in c.members
    ):
        found.append(griffe.Parameter("parameters", kind=griffe.ParameterKind.var_keyword))
    return found


def _listed(parameters: list[griffe.Parameter], types: bool = False) -> str:
    kinds = griffe.ParameterKind
    shown: list[str] = []
    starred = False
    for index, parameter in enumerate(parameters):
        if parameter.kind is kinds.keyword_only and not starred:
            shown.append("*")
            starred = True
        starred |= parameter.kind is kinds.var_positional
        stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
        typed = f": {parameter.annotation}" if types and parameter.annotation is not None else ""
        default = "" if stars or parameter.default is None else str(parameter.default)
        equals = (f" = {default}" if typed else f"={default}") if default else ""
        shown.append(f"{stars}{parameter.name}{typed}{equals}")
        last = index + 1 == len(parameters) or parameters[index + 1].kind is not parameter.kind
        if parameter.kind is kinds.positional_only and last:
            shown.append("/")
    return ", ".join(shown)


def _summary(thing: Any) -> str:
    return " ".join(thing.docstring.value.split("\n\n")[0].split()) if thing.docstring else ""


def _attribute_texts(thing: Any) -> dict[str, str]:
    """Return what a class's docstring says of its attributes."""
    if thing.docstring is None:
        return {}
    parts = thing.docstring.parse("google", warnings=False)
    return {
        a.name: " ".join(a.description.split())
        for part in parts
        if part.kind is griffe.DocstringSectionKind.attributes
        for a in part.value
    }
