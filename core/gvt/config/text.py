"""Recipes as text: YAML 1.2, so that `1e-3` is a number and `no` and `12:30` are words.

What a file can ask for is bounded: its size, how deep it nests, and what its aliases expand to.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.tokens import (
    BlockMappingStartToken,
    BlockSequenceStartToken,
    DocumentEndToken,
)

from gvt.errors import ConfigError
from gvt.printable import printable, quoted, shortened

MAX_SIZE = 1 << 20
"""Characters of a file, and of what its aliases expand to."""

MAX_NODES = 50_000
"""Values and keys in a file, aliases expanded."""

MAX_DEPTH = 64
"""How deep lists and mappings nest."""

MAX_DIGITS = 400
"""Characters of one integer."""

_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "seq", "map")
}
_STRUCTURE = "\n,:[{!"
"""Characters that separate nodes, and `!`, for a long row of which ruamel.yaml takes minutes."""

_WORD = re.compile(r"[-+.\w]+")
"""What may be a number, a truth value or null; a plain text with anything else is just a text."""

_RESERVED = re.compile(r"(?P<sign>[*&!|>@%`,\]}]|---(?=\s|$)|\.\.\.(?=\s|$)|[-?:](?=\s|$))")
_KEY = re.compile(r":\s")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def parse(text: str, where: str) -> Any:
    """Return what a YAML text says, as plain Python data.

    Raises:
        ConfigError: If it is not valid YAML, a key is given twice, it has a tag such as `!!set`,
            or it is too large, too deep or its aliases expand to too much; names the line.
    """
    return _load(_reader(), text, where)


def parse_value(path: str, text: str, where: str) -> Any:
    """Return one value in YAML that has a text for itself, as an override has.

    ` #` begins no comment in it. Quotes, lists and mappings in brackets, numbers, truth values and
    null are read as in a file; any other text is itself.

    Args:
        path: The setting, for messages.
        text: The value.
        where: What a message begins with.

    Raises:
        ConfigError: If it is not valid YAML, something is left over after it, or it has to be
            quoted.
    """
    bare = text.strip(" ")
    if bare.startswith(("[", "{", '"', "'")):
        value = parse(bare, where)  # first, since it is what bounds the depth
        _check_nothing_left(bare, where)
        return value
    if found := _UNPRINTABLE.search(bare):
        raise ConfigError(
            f"{where}: its character {ascii(found[0])[1:-1]} cannot be written as it is; "
            'write it as an escape in double quotes, such as "\\n"'
        )
    if bare == "~":
        raise ConfigError(f"{where}: write null for no value, and ~/ for the home folder")
    if found := _RESERVED.match(bare):
        raise ConfigError(f"{where}: a value that begins with {found[0]!r} {_hint(path, bare)}")
    if _KEY.search(bare):
        raise ConfigError(f"{where}: a value that contains ': ' {_hint(path, bare)}")
    value = parse(bare, where) if _WORD.fullmatch(bare) else text
    return text if isinstance(value, str) else value


def parse_keeping_comments(text: str, where: str) -> Any:
    """Return the same as `parse`, as mappings that remember comments and style, for `dump`."""
    yaml = YAML(typ="rt")
    yaml.Composer = _Composer
    return _load(yaml, text, where)


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
        ConfigError: If it cannot be read, is larger than `MAX_SIZE` bytes or is not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe may never end
            raise ConfigError(f"{where}: cannot be read: it is not a file")
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
        if len(content) > MAX_SIZE:
            raise ConfigError(f"{where}: is larger than {MAX_SIZE:,} bytes, too large for YAML")
        return content.decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is not UTF-8 text (byte {error.start})") from error


class _Constructor(SafeConstructor):
    """Without what YAML 1.2 dropped: a date is a word, and so is `=`."""


for _tag in ("timestamp", "value"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_tag}", SafeConstructor.construct_yaml_str)


class _Composer(Composer):
    """Checks the nodes of a document before anything is built of them."""

    def get_single_node(self) -> Any:
        """Return the document's node, or None.

        Raises:
            ComposerError: If it has a tag that a recipe has no use for, contains itself, or
                expands to too much.
        """
        self.warn_double_anchors = False
        node = super().get_single_node()
        if node is not None:
            self._measure(node, {})
        return node

    def _measure(self, node: Node, measured: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
        """Return how many nodes and characters a node expands to."""
        if id(node) in measured:
            size = measured[id(node)]
            if size is None:
                raise _refused("something in it contains itself", node)
            return size
        measured[id(node)] = None
        self._check_tag(node)
        nodes, characters = 1, 0
        if isinstance(node, ScalarNode):
            characters = len(node.value)
        else:
            inside = [part for item in node.value for part in _parts(item)]
            if isinstance(node, MappingNode) and not all(
                isinstance(key, ScalarNode) for key, _ in node.value
            ):
                raise _refused("a list or mapping is not a key", node)
            for part in inside:
                more_nodes, more_characters = self._measure(part, measured)
                nodes, characters = nodes + more_nodes, characters + more_characters
                if nodes > MAX_NODES or characters > MAX_SIZE:
                    raise _refused("its aliases expand to too much", node)
        measured[id(node)] = (nodes, characters)
        return nodes, characters

    def _check_tag(self, node: Node) -> None:
        tag = str(node.tag)
        name = tag.rpartition(":")[2]
        if tag not in _TAGS:
            raise _refused(f"the tag {quoted(tag)} is not for recipes", node)
        if not isinstance(node, ScalarNode):
            if name not in ("seq", "map"):
                raise _refused(f"a list or mapping is not of the type {name}", node)
            return
        if name in ("seq", "map"):
            raise _refused(f"{quoted(node.value)} is not of the type {name}", node)
        if name in ("int", "float", "bool", "null"):
            plain = str(self.resolver.resolve(ScalarNode, node.value, (True, False)))
            plain = plain.rpartition(":")[2]
            if name not in (plain, {"int": "float"}.get(plain)):
                raise _refused(f"{quoted(node.value)} is not of the type {name}", node)
            if plain == "int" and len(node.value) > MAX_DIGITS:
                raise _refused(f"an integer of {len(node.value):,} digits is too large", node)


def _parts(item: Any) -> tuple[Any, ...]:
    return item if isinstance(item, tuple) else (item,)  # of a mapping (key, value)


def _refused(problem: str, node: Node) -> ComposerError:
    return ComposerError(None, None, problem, node.start_mark)


def _reader() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    yaml.Composer = _Composer
    return yaml


def _load(yaml: YAML, text: str, where: str) -> Any:
    if len(text) > MAX_SIZE or sum(map(text.count, _STRUCTURE)) > MAX_NODES:
        raise ConfigError(
            f"{where}: too much for YAML; at most {MAX_SIZE:,} characters and {MAX_NODES:,} values"
        )
    yaml.max_depth = MAX_DEPTH
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = str(error.problem or error.context).partition(", if necessary")[0]
        raise ConfigError(f"{where}{line}: not valid YAML: {_one_line(problem)}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{where}: not valid YAML: {_one_line(problem)}") from error


def _check_nothing_left(text: str, where: str) -> None:
    """Check that valid YAML is one value and nothing else.

    Raises:
        ConfigError: If a comment or a document's mark comes after or inside it.
    """
    end = 0
    for token in _reader().scan(text):
        left = text[end : token.start_mark.index]
        if isinstance(token, BlockMappingStartToken | BlockSequenceStartToken):
            left = text  # `"a": 1`, which in an override is written {a: 1}
        elif isinstance(token, DocumentEndToken):
            left = text[token.start_mark.index :]
        if left.strip():
            raise ConfigError(
                f"{where}: {quoted(left.strip())} is left over; an override is one value"
            )
        end = max(end, token.end_mark.index)


def _hint(path: str, text: str) -> str:
    """Return how a value is quoted, for YAML and for the shell around it."""
    written = shlex.quote(f"{path}={json.dumps(text, ensure_ascii=False)}")
    return f"has to be quoted: {shortened(written)}"


def _one_line(text: str) -> str:
    return printable(shortened(" ".join(text.split())))


def _plain_null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
