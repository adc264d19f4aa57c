"""Loading plugins one by one, so that a broken one takes nothing else down."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from gvt_registry import hookspecs
from gvt_registry.errors import UsageError, nearest
from gvt_registry.hookspecs import API_VERSION

GROUP = "gvt"
BLOCK_VARIABLE = "GVT_BLOCK_PLUGINS"


@dataclass
class Plugin:
    """One plugin and what became of it.

    Attributes:
        name: Name of its entry point, or of its file.
        distribution: The distribution that it comes from; for a file its path.
        version: Version of the distribution, empty for a file.
        state: `ok`, `broken`, `blocked` or `incompatible`.
        problem: Why it is not ok, in one line.
        details: The full traceback, where there is one.
        warnings: What is wrong with a plugin that works, such as a misspelled hook.
        load_seconds: How long its import took.
        module: The imported plugin, once it is ok.
        path: Its file, if it was loaded from one and not from an installed distribution.
    """

    name: str
    distribution: str
    version: str = ""
    state: str = "ok"
    problem: str = ""
    details: str = ""
    warnings: list[str] = field(default_factory=list)
    load_seconds: float = 0.0
    module: Any = None
    path: Path | None = None
    muted: set[str] = field(default_factory=set, repr=False)

    @property
    def origin(self) -> str:
        """The distribution and its version, for people."""
        return f"{self.distribution} {self.version}".strip()

    def fail(self, error: BaseException, state: str = "broken") -> None:
        """Record why this plugin cannot be used."""
        text = " ".join(str(error).split())
        self.state, self.module = state, None
        self.problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
        self.details = "".join(traceback.format_exception(error))


class Plugins:
    """The plugins of this process, and their hooks.

    Entry points of the group `gvt` are loaded when the plugins are first looked at.
    """

    def __init__(self, *, entry_points: bool = True) -> None:
        self._manager = pluggy.PluginManager("gvt")
        self._manager.add_hookspecs(hookspecs)
        self._hook_names = {n for n in vars(hookspecs) if n.startswith("gvt_") and n != "gvt_api"}
        self._plugins: list[Plugin] = []
        self._pending_entry_points = entry_points

    def __iter__(self) -> Iterator[Plugin]:
        self._load_entry_points()
        return iter(self._plugins)

    def load_file(self, path: str | Path) -> Plugin:
        """Load a plugin from a Python file, which is imported under the file's own name.

        Raises:
            UsageError: If there is no such file, its name is taken by a module, or it is broken.
        """
        file = Path(path)
        if not file.is_file():
            raise UsageError(f"no plugin file {str(path)!r}")
        if file.suffix != ".py" or not file.stem.isidentifier():
            raise UsageError(f"plugin file {str(path)!r} needs a name such as my_plugin.py")
        resolved = str(file.resolve())
        for known in self:
            if known.distribution == resolved:
                return known
        if any(p.name == file.stem for p in self):
            raise UsageError(f"plugin file {str(path)!r}: a plugin {file.stem!r} exists; rename it")
        if _is_another_module(file):
            raise UsageError(f"plugin file {str(path)!r}: a module {file.stem!r} exists; rename it")
        plugin = Plugin(file.stem, resolved, path=file.resolve())
        self._load(plugin, lambda: _import_file(file.stem, file))
        if plugin.state != "ok":
            # Nothing of it stays, so that it can be mended and loaded again.
            sys.modules.pop(file.stem, None)
            if self._manager.has_plugin(file.stem):
                self._manager.unregister(name=file.stem)
            raise UsageError(
                f"plugin file {str(path)!r} is {plugin.state}: {plugin.problem}",
                details=plugin.details,
            )
        self._plugins.append(plugin)
        # Processes that are spawned, such as workers on Windows and macOS, import it by its name.
        sys.path.append(str(file.resolve().parent))
        return plugin

    def implementations(self, hook: str) -> list[tuple[Plugin, Callable[..., Any]]]:
        """Return who implements a hook and is still listened to, in the order of loading.

        Each function returned takes keyword arguments and passes on those that it declares.
        """
        by_module = {id(p.module): p for p in self if p.module is not None}
        found = []
        for impl in getattr(self._manager.hook, hook).get_hookimpls():
            plugin = by_module.get(id(impl.plugin))  # none once another hook of it has failed
            if plugin is not None and hook not in plugin.muted:
                found.append((plugin, _passing_declared(impl.function, impl.argnames)))
        order = {id(p): i for i, p in enumerate(self._plugins)}
        return sorted(found, key=lambda pair: order[id(pair[0])])

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Call a hook implementation by implementation and yield each plugin's answer.

        One that raises is switched off for that hook, with the reason among its warnings, and
        stops nobody else.
        """
        for plugin, function in self.implementations(hook):
            try:
                answer = function(**arguments)
            except (Exception, SystemExit) as error:
                plugin.muted.add(hook)
                plugin.warnings.append(f"{hook} raised {type(error).__name__}: {error}")
                plugin.details = traceback.format_exc()
                yield plugin, error
            else:
                yield plugin, answer

    def _load_entry_points(self) -> None:
        if not self._pending_entry_points:
            return
        self._pending_entry_points = False
        blocked = {n.strip() for n in os.environ.get(BLOCK_VARIABLE, "").split(",")} - {""}
        points = importlib.metadata.entry_points(group=GROUP)
        for point in sorted(points, key=lambda p: (p.name, p.dist.name if p.dist else "")):
            distribution = point.dist.name if point.dist else "unknown"
            name = point.name
            if any(p.name == name for p in self._plugins):
                name = f"{distribution}:{name}"
            version = point.dist.version if point.dist else ""
            plugin = Plugin(name, distribution, version)
            self._plugins.append(plugin)
            if blocked & {point.name, name}:
                plugin.state, plugin.problem = "blocked", f"named in {BLOCK_VARIABLE}"
            else:
                self._load(plugin, point.load)

    def _load(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        started = time.perf_counter()
        try:
            module = load()
            if not hasattr(module, "__dict__"):
                raise TypeError(f"its entry point leads to {module!r}, which is no module")
            declared = getattr(module, "gvt_api", API_VERSION)
            if declared != API_VERSION:
                plugin.state = "incompatible"
                plugin.problem = (
                    f"written for version {declared!r} of the plugin API, this is version "
                    f"{API_VERSION}: install a matching {plugin.distribution}"
                )
                return
            self._manager.register(module, name=plugin.name)
            plugin.warnings.extend(self._misspelled(module))
            plugin.module = module
        except (Exception, SystemExit) as error:
            plugin.fail(error)
        finally:
            plugin.load_seconds = time.perf_counter() - started

    def _misspelled(self, module: Any) -> Iterator[str]:
        for caller in self._manager.get_hookcallers(module) or ():
            if not caller.has_spec():
                yield f"no hook is called {caller.name!r}{nearest(caller.name, self._hook_names)}"
        home = getattr(module, "__name__", None)  # an entry point may lead to an object
        for name, value in vars(module).items():
            unmarked = inspect.isfunction(value) and not hasattr(value, "gvt_impl")
            if name in self._hook_names and unmarked and value.__module__ == home:
                yield f"{name} is not called: it lacks @gvt_registry.hookimpl"


def _passing_declared(
    function: Callable[..., Any], declared: tuple[str, ...]
) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        return function(*(arguments[name] for name in declared))

    return call


def _is_another_module(file: Path) -> bool:
    """Return whether a file's name is that of a module other than the file itself."""
    if file.stem in sys.modules:
        return True
    spec = importlib.util.find_spec(file.stem)  # `python -m` has the current folder on its path
    return spec is not None and (
        spec.origin is None or Path(spec.origin).resolve() != file.resolve()
    )


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a .py file that exists has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
