"""Entry point of the console script and of `python -m gvt` (used by torchrun)."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; print one line for Ctrl-C, also while gvt is being imported."""
    try:
        from gvt.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
