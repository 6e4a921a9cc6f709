"""`python -m victor_dsl` is `victor`."""

from victor_dsl.interfaces.cli import main

if __name__ == "__main__":
    main()
