"""Loading plugins one by one, so that a broken one takes nothing else down."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from gvt_registry import hookspecs
from gvt_registry.choice import Choice
from gvt_registry.errors import UsageError, nearest
from gvt_registry.hookspecs import API_VERSION
from gvt_registry.installed import installed
from gvt_registry.plugin import Plugin

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("gvt_"))
"""The names of all hooks."""

OFFERS = ("gvt_components", "gvt_commands", "gvt_sections", "gvt_names")
"""The names of those that say what a plugin offers."""

RUN_HOOKS = tuple(name for name in HOOKS if name not in OFFERS)
"""The names of those that are called in a run."""


class Plugins:
    """The plugins of this process, and their hooks.

    Entry points of the group `gvt` are loaded when the plugins are first looked at.
    """

    def __init__(self, *, entry_points: bool = True) -> None:
        self._manager = pluggy.PluginManager("gvt")
        self._manager.add_hookspecs(hookspecs)
        self._plugins: list[Plugin] = []
        self._pending_entry_points = entry_points
        self._only: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[Plugin]:
        self._load_entry_points()
        return iter(self._plugins)

    @property
    def only(self) -> tuple[str, ...] | None:
        """The entry points beside which none is imported; None for all of them."""
        self._load_entry_points()
        return self._only

    def restrict(self, names: Iterable[str]) -> None:
        """Import no entry points but these; plugin files are not concerned.

        Raises:
            UsageError: If the entry points are imported already, or no name is given.
        """
        only = tuple(dict.fromkeys(names))
        if not only:
            raise UsageError("--only-plugins: name at least one plugin")
        if not self._pending_entry_points and only != self._only:
            raise UsageError("--only-plugins: too late, the plugins of this process are imported")
        self._only = only

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
        for known in self._plugins:
            if known.distribution == resolved:
                return known
        # By their names alone: which of them are to be imported may be said later.
        if any(p.name == file.stem for p in (*self._plugins, *self._installed)):
            raise UsageError(f"plugin file {str(path)!r}: a plugin {file.stem!r} exists; rename it")
        if _is_another_module(file):
            raise UsageError(f"plugin file {str(path)!r}: a module {file.stem!r} exists; rename it")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        plugin = Plugin(file.stem, resolved, path=file.resolve(), sha256=sha256)
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
        stops nobody else. The hooks of a run are called by `gvt.loop.listener`, run by run.
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

    def hooks_of(self, plugin: Plugin) -> set[str]:
        """Return the names of the hooks that a plugin implements."""
        callers = self._manager.get_hookcallers(plugin.module) if plugin.module else None
        return {caller.name for caller in callers or () if caller.has_spec()}

    def follows_runs(self, plugin: Plugin) -> bool:
        """Return whether a plugin implements a hook that is called in a run."""
        return not self.hooks_of(plugin).isdisjoint(RUN_HOOKS)

    def _load_entry_points(self) -> None:
        if not self._pending_entry_points:
            return
        choice, found = Choice.made(self._only), self._installed
        choice.check(p.name for p in (*found, *self._plugins))
        self._pending_entry_points, self._only = False, choice.only
        # They stand before the files, whichever was loaded first.
        self._plugins, files = [], self._plugins
        for plugin in found:
            self._plugins.append(plugin)
            if plugin.point is None:
                continue  # broken, as it was found
            names = plugin.point.name, plugin.name
            if objection := choice.objection(*names):
                plugin.state, plugin.problem = "blocked", objection
                plugin.left_out = choice.leaves_out(*names)
            else:
                self._load(plugin, plugin.point.load)
        self._plugins += files

    @cached_property
    def _installed(self) -> list[Plugin]:
        """The plugins of the entry points, which are found before any of them is imported."""
        return installed() if self._pending_entry_points else []

    def _load(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        started = time.perf_counter()
        try:
            module = load()
            if not hasattr(module, "__dict__"):
                raise TypeError(f"its entry point leads to {module!r}, which is no module")
            plugin.api = getattr(module, "gvt_api", API_VERSION)
            if plugin.api != API_VERSION:
                plugin.state = "incompatible"
                plugin.problem = (
                    f"written for version {plugin.api!r} of the plugin API, this is version "
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
                yield f"no hook is called {caller.name!r}{nearest(caller.name, HOOKS)}"
        home = getattr(module, "__name__", None)  # an entry point may lead to an object
        for name, value in vars(module).items():
            unmarked = inspect.isfunction(value) and not hasattr(value, "gvt_impl")
            if name in HOOKS and unmarked and value.__module__ == home:
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
