"""Writes docs/api.md, the public API, from the code as it stands; nothing of it is imported.

    python docs/make_api.py             the page
    python docs/make_api.py --record    the page, and docs/api.json, which changes are told from

A release records. It is refused while CHANGELOG.md or the API version does not say what changed.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from api_changes import Snapshot, unannounced
from api_names import Name, api_version, public_names

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "registry", ROOT / "core", ROOT / "plugins"]
PAGE, SNAPSHOT, CHANGELOG = ROOT / "docs/api.md", ROOT / "docs/api.json", ROOT / "CHANGELOG.md"

HEADER = """# Public API

What is on this page is public, and nothing else is. `python docs/make_api.py` writes it from the \
code. This is version {version} of the plugin API; `gvt.__version__` is that of the distribution.

A change of a name, a parameter, a default or a hook here stands in the changelog; one that breaks \
code raises the version of the plugin API, too. What is to go warns for one minor version, and the \
warning names what to use instead.
"""


def page(names: list[Name], version: int) -> str:
    """Return docs/api.md: contents, then of each name signature, first line and members."""
    top: dict[str, list[Name]] = {}
    for name in (n for n in names if not n.owner):
        top.setdefault(name.short, []).append(name)  # some are in both packages
    links = {short: f"[`{short}`](#{known[0].path})" for short, known in top.items()}
    sections: dict[str, list[list[Name]]] = {}
    for known in top.values():
        sections.setdefault(known[0].section, []).append(known)
    contents = [
        f"- **{title}**: " + ", ".join(links[known[0].short] for known in entries)
        for title, entries in sections.items()
    ]
    parts = [HEADER.format(version=version), *contents, ""]
    for title, entries in sections.items():
        parts.append(f"## {title}\n")
        parts += [_entry(known, names, links) for known in entries]
    return "\n".join(parts)


def snapshot(names: list[Name], version: int) -> Snapshot:
    """Return the API as it is compared: names, kinds and defaults of parameters, no types."""
    return Snapshot(version, {n.path: n.call for n in names})


def _entry(known: list[Name], names: list[Name], links: dict[str, str]) -> str:
    """Return the part about one name, which may be imported from several packages."""
    name, *elsewhere = known
    keyword = "class " if name.kind == "class" else ""
    # `py` and not `python`: the latter are examples, which the tests run.
    shown = f"```py\n{keyword}{_wrapped(name.path, name.signature)}\n```"
    types = re.findall(r"(?<![.\w])[A-Z]\w+", name.signature)
    related = [links[t] for t in dict.fromkeys(types) if t in links and t != name.short]
    text = [
        name.summary,
        f"See {', '.join(related)}." if related else "",
        *(f"Also `{other.path}`." for other in elsewhere),
        f"[{name.source}](../{name.source})",
    ]
    heading = f'### <a id="{name.path}"></a>{name.short}'
    lines = [heading, "", shown, "", " ".join(filter(None, text)), ""]
    members = [n for n in names if n.owner == name.path]
    lines += [f"- `{m.short}{m.signature}`" + f": {m.summary}" * bool(m.summary) for m in members]
    return "\n".join([*lines, ""] if members else lines)


def _wrapped(name: str, signature: str) -> str:
    """Return a signature on one line, or with a line for each parameter."""
    if len(name) + len(signature) <= 92 or not signature.startswith("("):
        return name + signature
    inside, returned, depth, start = [], "", 0, 1
    for i, letter in enumerate(signature):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            inside.append(signature[start:i].strip())
            returned = signature[i + 1 :]
            break
        if depth == 1 and letter == ",":
            inside.append(signature[start:i].strip())
            start = i + 1
    return f"{name}(\n" + "".join(f"    {p},\n" for p in inside) + f"){returned}"


def main(arguments: list[str]) -> int:
    """Write the page, and with `--record` the snapshot."""
    names, version = public_names(SOURCES, ROOT), api_version(SOURCES)
    now = snapshot(names, version)
    PAGE.write_text(page(names, version), encoding="utf-8")
    if "--record" in arguments:
        if SNAPSHOT.exists():
            changes = unannounced(Snapshot.read(SNAPSHOT), now, CHANGELOG.read_text("utf-8"))
            if changes:
                print(*changes, sep="\n", file=sys.stderr)
                return 1
        SNAPSHOT.write_text(json.dumps(now.document(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
