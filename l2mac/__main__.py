"""`python -m l2mac`, the same as the `l2mac` command."""

from l2mac.cli.main import main

if __name__ == "__main__":
    main()
