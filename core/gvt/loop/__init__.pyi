"""Public names of `gvt.loop`, each with its module; imported when first used."""

from .evaluation import BACKGROUND as BACKGROUND, SURE as SURE, evaluating as evaluating
from .figures import Figure as Figure, Kind as Kind
from .listener import PluginHooks as PluginHooks
from .signals import stop_requests as stop_requests
from .state import capture as capture, restore as restore
