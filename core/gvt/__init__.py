"""gvt: generative and discriminative vision, from plugins.

    run = gvt.run("gan.mnist", "train.steps=200")
    task = gvt.load(run.checkpoint)

The names are listed in `__init__.pyi`, and are imported when they are first used (PEP 562), so that
`import gvt` is fast.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import lazy_loader

_attribute, _, _names = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["__version__", *_names]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gvt")
    return _attribute(name) if name in _names else _of_plugin(name)


def _of_plugin(name: str) -> Any:
    """Return the object that a plugin offers as `gvt.NAME`.

    Plugins are not imported for names of submodules, and for names with an underscore, which
    `from gvt import ...` and `inspect` look up.

    Raises:
        AttributeError: If no plugin offers it. The message lists the plugins that cannot be used.
    """
    message = f"module 'gvt' has no attribute {name!r}"
    if name.startswith("_") or importlib.util.find_spec(f"gvt.{name}") is not None:
        raise AttributeError(message)
    from gvt_registry import default_registry

    registry = default_registry()
    target = registry.targets("gvt_names").get(name)
    if target is None:
        unavailable = registry.unavailable("gvt_names", name)
        raise AttributeError(f"{message}. {unavailable}" if unavailable else message)
    return target.load()


def __dir__() -> list[str]:
    from gvt_registry import default_registry

    return sorted({*globals(), *__all__, *default_registry().targets("gvt_names")})
