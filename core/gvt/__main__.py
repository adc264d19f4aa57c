"""`python -m gvt`, as torchrun wants it."""

from gvt.cli import main

if __name__ == "__main__":
    main()
