"""Recipes as text: YAML 1.2, so that `1e-3` is a number and `no` and `12:30` are words."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gvt.errors import ConfigError


def parse(text: str, where: str) -> Any:
    """Return what a YAML text says, as plain Python data.

    Raises:
        ConfigError: If it is no YAML, or a key stands twice; names the line.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return _load(yaml, text, where)


def parse_keeping_comments(text: str, where: str) -> Any:
    """Return the same as mappings that remember comments and style, for `dump`."""
    return _load(YAML(typ="rt"), text, where)


def dump(data: Any) -> str:
    """Return YAML text, keys in their order."""
    yaml = YAML(typ="rt")
    yaml.width = 1 << 30  # a long quoted text that is folded can come back with a space more
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _plain_null)
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def read(path: Path, where: str) -> str:
    """Return a file's text.

    Raises:
        ConfigError: If it cannot be read or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is no UTF-8 text (byte {error.start})") from error


class _Constructor(SafeConstructor):
    """Without what YAML 1.2 dropped: a date is a word, and so is `=`."""


for _tag in ("timestamp", "value"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_tag}", SafeConstructor.construct_yaml_str)


def _load(yaml: YAML, text: str, where: str) -> Any:
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise ConfigError(f"{where}{line}: not valid YAML: {problem}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{where}: not valid YAML: {problem}") from error


def _plain_null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
