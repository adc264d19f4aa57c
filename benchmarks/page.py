"""Tables of benchmarks/README.md, each between two markers with its name."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parent / "README.md"


def put_table(name: str, table: str, page: Path = PAGE) -> None:
    """Replace the text between the markers of a name by a table."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
