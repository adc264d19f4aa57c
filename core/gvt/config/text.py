"""Read and write YAML 1.2, in which `1e-3` is a number, and `no` and `12:30` are strings.

The size of a file, the depth of its nesting, and the expansion of its aliases are limited.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from itertools import chain
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.tokens import BlockMappingStartToken, BlockSequenceStartToken, DocumentEndToken

from gvt.errors import ConfigError
from gvt.files import open_regular
from gvt.printable import printable, quoted, shortened

MAX_SIZE = 1 << 20
"""Characters of a file, with its aliases expanded."""

MAX_NODES = 50_000
"""Values and keys of a file, with its aliases expanded."""

MAX_DEPTH = 64
"""Levels of nested lists and mappings."""

MAX_DIGITS = 400
"""Characters of one integer."""

_PREFIX = "tag:yaml.org,2002:"
_TEXTS = {"str", "timestamp", "value", "merge"}
_TYPES = {*_TEXTS, "int", "float", "bool", "null", "seq", "map"}
_STRUCTURE = "\n,:[{!"
"""Characters that separate nodes, and `!`, of which ruamel.yaml reads long rows very slowly."""

_WORD = re.compile(r"[-+.\w]+")
"""Matches a plain text that may be a number, a boolean or null."""

_RESERVED = re.compile(r"[*&!|>@%`,\]}]|---(?=\s|$)|\.\.\.(?=\s|$)|[-?:](?=\s|$)")
_KEY = re.compile(r":\s")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def parse_yaml(text: str, where: str) -> Any:
    """Return the plain Python data of a YAML text.

    Raises:
        ConfigError: If it is not valid YAML, a key occurs twice, it has a tag such as `!!set`, or
            it is too large, also by its aliases, or nested too deeply. The message names the line.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return _load(yaml, text, where)


def parse_value(path: str, text: str, where: str) -> Any:
    """Return the value of an override, which is a single YAML value.

    Quoted strings, lists and mappings in brackets, numbers, booleans and null are read as in a
    file. All other text is a string, also with ` #`, which does not start a comment.

    Args:
        path: Name of the setting, for messages.
        text: The value.
        where: Prefix of messages.

    Raises:
        ConfigError: If it is not valid YAML, further text follows the value, or it has to be
            quoted.
    """
    bare = text.strip(" ")
    if bare.startswith(("[", "{", '"', "'")):
        value = parse_yaml(bare, where)  # first, since it limits the depth
        _check_nothing_left(bare, where)
        return value
    if match := _UNPRINTABLE.search(bare):
        raise ConfigError(
            f"{where}: the character {ascii(match[0])[1:-1]} is not printable; "
            'write it as an escape in double quotes, such as "\\n"'
        )
    if bare == "~":
        raise ConfigError(f"{where}: write null for no value, and ~/ for the home folder")
    reserved = _RESERVED.match(bare)
    if reserved or _KEY.search(bare):
        problem = f"begins with {reserved[0]!r}" if reserved else "contains ': '"
        override = shlex.quote(f"{path}={json.dumps(bare, ensure_ascii=False)}")
        raise ConfigError(
            f"{where}: a value that {problem} has to be quoted: {shortened(override)}"
        )
    value = parse_yaml(bare, where) if _WORD.fullmatch(bare) else text
    return text if isinstance(value, str) else value


def parse_keeping_comments(text: str, where: str) -> Any:
    """Return the same data as `parse_yaml`, with comments and style for `dump_yaml` to write."""
    return _load(YAML(typ="rt"), text, where)


def dump_yaml(data: Any) -> str:
    """Return data as YAML text, with keys in their order."""
    yaml = YAML(typ="rt")
    yaml.width = 1 << 30  # folding a long quoted string can add a space to it
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), SafeRepresenter.represent_none)
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def read_yaml(path: Path, where: str) -> str:
    """Return the text of a file.

    Raises:
        ConfigError: If it cannot be read, is larger than `MAX_SIZE` bytes or is not UTF-8.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_SIZE + 1)
        if len(content) > MAX_SIZE:
            raise ConfigError(f"{where}: is larger than {MAX_SIZE:,} bytes, the largest YAML file")
        return content.decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is not UTF-8 text (byte {error.start})") from error


class _Constructor(SafeConstructor):
    """Reads dates and `=` as strings, as YAML 1.2 does."""


for _tag in ("timestamp", "value"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_tag}", SafeConstructor.construct_yaml_str)


class _Composer(Composer):
    """Checks the nodes of a document before values are built from them."""

    def get_single_node(self) -> Any:
        """Return the node of the document, or None.

        Raises:
            ComposerError: If it has a tag that is not allowed, contains itself, or expands to too
                many nodes or characters.
        """
        self.warn_double_anchors = False
        node = super().get_single_node()
        if node is not None:
            self._measure(node, {})
        return node

    def _measure(self, node: Node, sizes: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
        """Return the number of nodes and characters that a node expands to."""
        if id(node) in sizes:
            size = sizes[id(node)]
            if size is None:
                raise _refused("a list or mapping contains itself", node)
            return size
        sizes[id(node)] = None
        self._check_tag(node)
        nodes, characters, children = 1, 0, node.value
        if isinstance(node, ScalarNode):
            characters, children = len(node.value), ()
        elif isinstance(node, MappingNode):  # its items are pairs of nodes
            if not all(isinstance(key, ScalarNode) for key, _ in node.value):
                raise _refused("a list or mapping cannot be a key", node)
            children = chain.from_iterable(node.value)
        for child in children:
            more_nodes, more_characters = self._measure(child, sizes)
            nodes, characters = nodes + more_nodes, characters + more_characters
            if nodes > MAX_NODES or characters > MAX_SIZE:
                raise _refused("its aliases expand to too many values", node)
        sizes[id(node)] = (nodes, characters)
        return nodes, characters

    def _check_tag(self, node: Node) -> None:
        tag = str(node.tag)
        name = tag.removeprefix(_PREFIX)
        if name == tag or name not in _TYPES:
            raise _refused(f"the tag {quoted(tag)} is not allowed", node)
        if isinstance(node, ScalarNode):
            implicit = str(self.resolver.resolve(ScalarNode, node.value, (True, False)))
            plain = implicit.removeprefix(_PREFIX)
            types, shown = {*_TEXTS, plain, "float" if plain == "int" else ""}, quoted(node.value)
        else:
            types, shown = {"seq", "map"}, "a list or mapping"
        if name not in types:
            raise _refused(f"{shown} is not of the type {name}", node)
        if name == "int" and len(node.value) > MAX_DIGITS:
            raise _refused(f"an integer of {len(node.value):,} digits is too large", node)


def _refused(problem: str, node: Node) -> ComposerError:
    return ComposerError(None, None, problem, node.start_mark)


def _load(yaml: YAML, text: str, where: str) -> Any:
    if len(text) > MAX_SIZE or sum(map(text.count, _STRUCTURE)) > MAX_NODES:
        raise ConfigError(
            f"{where}: too large; YAML may have {MAX_SIZE:,} characters and {MAX_NODES:,} values"
        )
    yaml.Composer, yaml.max_depth = _Composer, MAX_DEPTH
    try:
        return yaml.load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        problem = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, MarkedYAMLError):
            where += f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            problem = str(error.problem or error.context).partition(", if necessary")[0]
        line = printable(shortened(" ".join(problem.split())))
        raise ConfigError(f"{where}: not valid YAML: {line}") from error


def _check_nothing_left(text: str, where: str) -> None:
    """Check that valid YAML is a single value.

    Raises:
        ConfigError: If there is a comment or a document marker after or inside the value.
    """
    end = 0
    for token in YAML(typ="safe", pure=True).scan(text):
        rest = text[end : token.start_mark.index]
        if isinstance(token, BlockMappingStartToken | BlockSequenceStartToken):
            rest = text  # `"a": 1`, which in an override has to be {a: 1}
        elif isinstance(token, DocumentEndToken):
            rest = text[token.start_mark.index :]
        if rest.strip():
            raise ConfigError(
                f"{where}: unexpected {quoted(rest.strip())}; an override is a single value"
            )
        end = max(end, token.end_mark.index)
