"""The versions that CI installs.

python .ci/versions.py lowest                # the lowest allowed version of each dependency
python .ci/versions.py tested PYTHON FILE    # write down what an environment has installed

torch and torchvision are in neither: which build fits depends on the machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_THE_MACHINE = re.compile(r"(torch|torchvision|triton|cuda|nvidia)([-_].*)?|pip|setuptools|gvt")
HEADER = """\
# The versions that CI tests with, so that a new release of a dependency changes nothing unseen.
# To take newer ones: a fresh environment without this file, all tests, and then
#   python .ci/versions.py tested .venv/bin/python .ci/constraints.txt
"""


def lowest() -> list[str]:
    """Return `name==version` for each run-time dependency.

    Raises:
        SystemExit: If one has another bound than `>=`.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = []
    for requirement in project["dependencies"]:
        name, bound, version = re.match(r"([\w.-]+)(>=)?(.*)", requirement).groups()
        if not bound or "," in version:
            raise SystemExit(f"pyproject.toml: {requirement}: CI expects NAME>=VERSION")
        if not OF_THE_MACHINE.fullmatch(name):
            pins.append(f"{name}=={version}")
    return pins


def tested(python: str) -> list[str]:
    """Return `name==version` for each package of an environment."""
    command = [python, "-m", "pip", "list", "--format", "json", "--exclude-editable"]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        f"{package['name']}=={package['version']}"
        for package in packages
        if not OF_THE_MACHINE.fullmatch(package["name"])
    ]


def main() -> None:
    match sys.argv[1:]:
        case ["lowest"]:
            print("\n".join(lowest()))
        case ["tested", python, file]:
            Path(file).write_text(HEADER + "\n".join(tested(python)) + "\n", encoding="utf-8")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
