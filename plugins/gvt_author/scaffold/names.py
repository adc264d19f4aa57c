"""What a new plugin is called: of its distribution's name follow all the others."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.util import find_spec

from gvt import UsageError
from gvt_registry import default_registry

_DISTRIBUTION = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """The names of a distribution; for `gvt-blur` they are these.

    Attributes:
        distribution: `gvt-blur`, what pip installs.
        package: `gvt_blur`, what Python imports.
        plugin: `blur`, its entry point, and the name of its component.
        class_name: `Blur`.
    """

    distribution: str
    package: str
    plugin: str
    class_name: str

    @classmethod
    def of(cls, distribution: str) -> Names:
        """Return the names that follow from a distribution's.

        `gvt-` at its beginning is a custom that makes plugins easy to find, and no duty.

        Raises:
            UsageError: If it is none that pip and Python both take, or a module or a plugin of
                such a name is installed.
        """
        if not _DISTRIBUTION.fullmatch(distribution):
            raise UsageError(
                f"{distribution!r} is no name for a plugin; it takes lower-case letters and "
                "digits, with single hyphens between, such as gvt-blur"
            )
        package = distribution.replace("-", "_")
        plugin = package.removeprefix("gvt_")
        class_name = "".join(map(str.capitalize, plugin.split("_")))
        for name in (package, class_name):
            if not name.isidentifier() or keyword.iskeyword(name):
                raise UsageError(
                    f"{distribution!r} is no name for a plugin: Python takes no {name!r}; "
                    "choose another name"
                )
        if find_spec(package) is not None:
            raise UsageError(
                f"{distribution}: a module {package} is installed already; choose another name"
            )
        if any(p.name == plugin for p in default_registry().plugins):
            raise UsageError(
                f"{distribution}: a plugin {plugin!r} is installed already; choose another name"
            )
        return cls(distribution, package, plugin, class_name)

    def check_new(self, kind: str, name: str) -> None:
        """Check that no plugin offers a component.

        Raises:
            UsageError: If one does.
        """
        for offer in default_registry().offers(kind):
            if offer.component.name == name:
                raise UsageError(
                    f"{self.distribution}: {offer.origin} offers a {kind} {name!r} already; "
                    "choose another name"
                )
