"""Look up components by kind and name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar, overload

from gvt_registry.choice import BLOCK_VARIABLE
from gvt_registry.component import KINDS, Component, Offer
from gvt_registry.errors import AmbiguousComponent, GvtError, UnknownComponent, nearest
from gvt_registry.plugin import Plugin
from gvt_registry.plugins import COMPONENTS, Plugins, own_module
from gvt_registry.target import NOUNS, Target, checked_targets

T = TypeVar("T")

IN_CODE = "registered in code"


class Registry:
    """The components of the plugins, and those that the running program has registered."""

    def __init__(self, plugins: Plugins | None = None) -> None:
        self.plugins = Plugins() if plugins is None else plugins
        self._collected: dict[str, list[Offer]] = {}
        self._in_code: dict[tuple[str, str], Offer] = {}

    def offers(self, kind: str | None = None) -> list[Offer]:
        """Return the components of one kind, or of all, sorted by kind and name."""
        offers = [*self._from_plugins(), *self._in_code.values()]
        offers = [o for o in offers if kind in (None, o.component.kind)]
        return sorted(offers, key=lambda o: (KINDS.index(o.component.kind), o.component.name))

    def find(self, kind: str, name: str, *, trained_with: str = "") -> Offer:
        """Return the component of a kind and name.

        Args:
            kind: One of `KINDS`.
            name: Name of the component.
            trained_with: For a checkpoint, the distribution of its component.

        Raises:
            UnknownComponent: If no plugin offers it; the message names the nearest component and
                the broken plugins.
            AmbiguousComponent: If two plugins offer it; the message names both distributions.
        """
        offers = self.offers(kind)
        matches = [o for o in offers if o.component.name == name]
        if len(matches) == 1:
            return matches[0]
        if matches:
            both = " and ".join(sorted({f"{o.origin} (plugin {o.plugin})" for o in matches}))
            plugins = [o.plugin for o in matches if o.plugin != IN_CODE]
            # Two plugins may have one entry-point name; blocking that name would block both.
            blocked = next((p for p in plugins if ":" in p), plugins[0])
            raise AmbiguousComponent(
                f"{kind} {name!r} is offered twice, by {both}; block one of them with "
                f"{BLOCK_VARIABLE}={blocked}"
            )
        raise self._unknown(kind, name, [o.component.name for o in offers], trained_with)

    def targets(self, hook: str) -> dict[str, Target]:
        """Return the targets of `gvt_sections` or `gvt_names` by their names.

        A plugin with an invalid answer is left out; a warning is recorded for it.
        """
        offers: dict[str, list[tuple[Plugin, str]]] = {}
        for plugin, answer in self.plugins.call(hook):
            if isinstance(answer, BaseException):
                continue  # a warning is recorded already
            try:
                for name, place in checked_targets(hook, answer):
                    offers.setdefault(name, []).append((plugin, place))
            except GvtError as error:
                plugin.warn(str(error))
        return {name: Target(NOUNS[hook], name, tuple(o)) for name, o in offers.items()}

    def unavailable(self, hook: str = "", name: object = None) -> str:
        """Return which plugins cannot be used, and why; an empty string if all can.

        Args:
            hook: The hook that would offer `name`.
            name: A name in the hook's answer, or the (kind, name) of a component.
        """
        plugins = [p for p in self.plugins if p.state != "ok"]
        text = f"Not available: {_named(plugins)}" if plugins else ""
        for plugin in plugins:
            if hook and plugin.left_out and name in _left_out_offers(plugin, hook):
                text += f". It is {plugin.name} that offers it"
        return text

    @overload
    def register(self, component: Component) -> Component: ...
    @overload
    def register(
        self, component: str, name: str, summary: str = ""
    ) -> Callable[[Callable[..., T]], Callable[..., T]]: ...
    def register(self, component: Component | str, name: str = "", summary: str = "") -> Any:
        """Register a component from running code, without packaging.

        Call `register(Component(...))`, or decorate: `@register("generator", "mine")`. A name that
        is registered again is replaced, so that a notebook's cell can run twice.
        """
        if isinstance(component, Component):
            offer = Offer(component, plugin=IN_CODE, distribution=IN_CODE)
            self._in_code[component.kind, component.name] = offer
            return component
        kind = component

        def decorate(target: Callable[..., T]) -> Callable[..., T]:
            first_line = (inspect.getdoc(target) or "").partition("\n")[0]
            self.register(Component(kind, name, target, summary or first_line))
            return target

        return decorate

    def _from_plugins(self) -> Iterator[Offer]:
        for plugin, ask in self.plugins.implementations(COMPONENTS):
            if plugin.name not in self._collected:
                self._collected[plugin.name] = _collect(plugin, ask)
            yield from self._collected[plugin.name]

    def _unknown(self, kind: str, name: str, names: list[str], origin: str) -> UnknownComponent:
        hint = nearest(name, names)
        others = " and a ".join(o.component.kind for o in self.offers() if o.component.name == name)
        message = f"no {kind} is called {name!r}{others and f', which is a {others}'}{hint}"
        if origin:
            message += f"; it was trained with {origin}: {_how_to_get(origin)}"
        elif not hint:
            message += f"; known: {', '.join(names)}" if names else "; no plugin offers any"
        if unavailable := self.unavailable(COMPONENTS, (kind, name)):
            message += f"{'' if message.endswith('?') else '.'} {unavailable}"
        # A similar name suggests a typing error, which a traceback would only hide.
        broken = [p for p in self.plugins if p.state != "ok" and p.details]
        details = "" if hint else "\n".join(p.details for p in broken)
        return UnknownComponent(message, details=details)


def _named(unavailable: list[Plugin]) -> str:
    """Return the names of plugins with the reasons, grouped by reason."""
    by_reason: dict[str, list[str]] = {}
    for plugin in unavailable:
        by_reason.setdefault(f"{plugin.state}: {plugin.problem}", []).append(plugin.name)
    return ", ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def _left_out_offers(plugin: Plugin, hook: str) -> set[object]:
    """Return the names, or kinds and names, that a left-out plugin of gvt's own would offer."""
    offers: Any = getattr(own_module(plugin), hook, tuple)()
    return {(o.kind, o.name) if isinstance(o, Component) else o for o in offers}


def _how_to_get(origin: str) -> str:
    if origin == IN_CODE:
        return "register it again first"
    if os.sep in origin:  # a distribution's name has none, a file's path has
        return f"--plugin {origin}"
    return f"pip install {origin.partition(' ')[0]}"


def _collect(plugin: Plugin, ask: Callable[..., Any]) -> list[Offer]:
    try:
        components = [answer] if isinstance(answer := ask(), Component) else list(answer or ())
        for component in components:
            if not isinstance(component, Component):
                raise TypeError(f"gvt_components returned {component!r}, which is not a Component")
    except (Exception, SystemExit) as error:
        plugin.fail(error)
        return []
    return [Offer(c, plugin.name, plugin.distribution, plugin.version) for c in components]


@cache
def default_registry() -> Registry:
    """Return the registry of this process."""
    return Registry()
