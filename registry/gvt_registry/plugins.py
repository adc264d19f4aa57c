"""Loading of plugins, one by one, so that a broken plugin does not affect the others."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
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

RUN_HOOKS = tuple(n for n in HOOKS if "run" in inspect.signature(vars(hookspecs)[n]).parameters)
"""The names of the hooks that are events of a run."""

COMPONENTS, OWN_DISTRIBUTION = "gvt_components", "gvt"


class Plugins:
    """The plugins of this process, and their hooks.

    Entry points of the group `gvt` are loaded when the plugins are first used.

    Attributes:
        trace: Function that is called with a line after each call of a hook; None for no trace.
    """

    def __init__(self, *, entry_points: bool = True) -> None:
        self._manager = pluggy.PluginManager("gvt")
        self._manager.add_hookspecs(hookspecs)
        self._plugins: list[Plugin] = []
        self._pending_entry_points = entry_points
        self._only: tuple[str, ...] | None = None
        self.trace: Callable[[str], object] | None = None

    def __iter__(self) -> Iterator[Plugin]:
        self._load_entry_points()
        return iter(self._plugins)

    @property
    def only(self) -> tuple[str, ...] | None:
        """The only entry points that are imported; None for all of them."""
        self._load_entry_points()
        return self._only

    def restrict(self, names: Iterable[str]) -> None:
        """Import only these entry points, and the applications of gvt's own distribution.

        An application is a plugin without components. Plugin files are not affected.

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
        """Load a plugin from a Python file, imported as a module of the file's name.

        Raises:
            UsageError: If there is no such file, a module has its name, or it is broken.
        """
        where, file = f"plugin file {str(path)!r}", Path(path).resolve()
        if not file.is_file():
            raise UsageError(f"no {where}")
        if file.suffix != ".py" or not file.stem.isidentifier():
            raise UsageError(f"{where} needs a name such as my_plugin.py")
        for loaded in self._plugins:
            if loaded.distribution == str(file):
                return loaded
        # Only names, since which of them are imported may be decided later.
        if any(p.name == file.stem for p in (*self._plugins, *self._installed)):
            raise UsageError(f"{where}: a plugin {file.stem!r} exists; rename it")
        if _is_another_module(file):
            raise UsageError(f"{where}: a module {file.stem!r} exists; rename it")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        plugin = Plugin(file.stem, str(file), path=file, sha256=sha256)
        # Processes that are spawned, such as workers on Windows and macOS, import it by its name.
        sys.path.append(str(file.parent))
        importlib.invalidate_caches()
        self._load(plugin, lambda: importlib.import_module(file.stem))
        if plugin.state != "ok":
            # Remove all of it, so that it can be corrected and loaded again.
            sys.path.pop()
            sys.modules.pop(file.stem, None)
            if self._manager.has_plugin(file.stem):
                self._manager.unregister(name=file.stem)
            text = f"{where} is {plugin.state}: {plugin.problem}"
            raise UsageError(text, details=plugin.details)
        self._plugins.append(plugin)
        return plugin

    def implementations(self, hook: str) -> list[tuple[Plugin, Callable[..., Any]]]:
        """Return the plugins that implement a hook and are not muted, in the order of loading.

        Each function returned takes keyword arguments and passes on those that it declares.
        """
        self._load_entry_points()
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        of_module = {id(impl.plugin): impl for impl in implementations}
        return [
            (plugin, partial(self._call, hook, plugin, impl))
            for plugin in self._plugins  # its module is None once another hook of it has failed
            if (impl := of_module.get(id(plugin.module))) and hook not in plugin.muted
        ]

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Call the implementations of a hook one by one, and yield each plugin with its answer.

        If one raises, its error is yielded and recorded as a warning of its plugin, which is muted
        for that hook. `gvt.loop.listener` calls the hooks of a run.
        """
        for plugin, function in self.implementations(hook):
            try:
                answer = function(**arguments)
            except (Exception, SystemExit) as error:
                plugin.muted.add(hook)
                plugin.warnings.append(f"{hook} raised {type(error).__name__}: {error}")
                plugin.details = traceback.format_exc()
                answer = error
            yield plugin, answer

    def _call(self, hook: str, plugin: Plugin, impl: pluggy.HookImpl, /, **arguments: Any) -> Any:
        """Call the implementation of a hook with the arguments that it declares."""
        started = time.perf_counter()
        try:
            return impl.function(*(arguments[name] for name in impl.argnames))
        finally:
            if self.trace is not None:
                took = 1000 * (time.perf_counter() - started)
                self.trace(f"{hook}  {plugin.name}  {took:.1f} ms")

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
        choice, plugins = Choice.made(self._only), self._installed
        choice.check(p.name for p in (*plugins, *self._plugins))
        self._pending_entry_points, self._only = False, choice.only
        self._plugins, files = [], self._plugins  # files come last, whichever was loaded first
        for plugin in plugins:
            self._plugins.append(plugin)
            if plugin.point is None:
                continue  # its entry points cannot be read
            names = plugin.point.name, plugin.name
            left_out = choice.leaves_out(*names)
            if left_out and (module := own_module(plugin)) and not hasattr(module, COMPONENTS):
                left_out = False  # an application
            elif objection := choice.objection(*names):
                plugin.state, plugin.problem, plugin.left_out = "blocked", objection, left_out
                continue
            self._load(plugin, plugin.point.load)
        self._plugins += files

    @cached_property
    def _installed(self) -> list[Plugin]:
        """The plugins of the entry points, before any of them is imported."""
        return installed() if self._pending_entry_points else []

    def _load(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        started = time.perf_counter()
        try:
            module = load()
            if not hasattr(module, "__dict__"):
                raise TypeError(f"its entry point leads to {module!r}, which is not a module")
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


def own_module(plugin: Plugin) -> Any:
    """Return the module of a plugin of gvt's own distribution; None if broken, or of another."""
    if plugin.distribution != OWN_DISTRIBUTION or plugin.point is None:
        return None
    try:
        return plugin.point.load()
    except Exception:
        return None


def _is_another_module(file: Path) -> bool:
    """Return whether a file's name is that of a module other than the file itself."""
    if file.stem in sys.modules:
        return True
    spec = importlib.util.find_spec(file.stem)  # `python -m` has the current folder on its path
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != file)
