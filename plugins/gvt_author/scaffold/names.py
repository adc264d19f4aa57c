"""The names of a new plugin, derived from the name of its distribution."""

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
    """The names of a distribution.

    Attributes:
        distribution: Name of the distribution, which pip installs, such as `gvt-blur`.
        package: Name of the package, which Python imports, such as `gvt_blur`.
        plugin: Name of the entry point and of the component, such as `blur`.
        class_name: Name of the class, such as `Blur`.
    """

    distribution: str
    package: str
    plugin: str
    class_name: str

    @classmethod
    def of(cls, distribution: str) -> Names:
        """Derive the names from that of a distribution.

        The prefix `gvt-` makes plugins easy to find, but is not required.

        Raises:
            UsageError: If pip or Python do not accept the name, or a module or a plugin of this
                name is installed.
        """
        if not _DISTRIBUTION.fullmatch(distribution):
            raise UsageError(
                f"{distribution!r} is not a valid name for a plugin; use lower-case letters and "
                "digits with single hyphens between them, such as gvt-blur"
            )
        package = distribution.replace("-", "_")
        plugin = package.removeprefix("gvt_")
        class_name = "".join(map(str.capitalize, plugin.split("_")))
        for name in (package, class_name):
            if not name.isidentifier() or keyword.iskeyword(name):
                raise UsageError(
                    f"{distribution!r} is not a valid name for a plugin: {name!r} is not a valid "
                    "name in Python; choose another name"
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
        """Check that no plugin offers a component of this kind and name.

        Raises:
            UsageError: If one does.
        """
        for offer in default_registry().offers(kind):
            if offer.component.name == name:
                raise UsageError(
                    f"{self.distribution}: {offer.origin} offers a {kind} {name!r} already; "
                    "choose another name"
                )
