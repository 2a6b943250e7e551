"""`python -m accord` is the same as the `accord` command."""

from accord.cli.main import main

if __name__ == "__main__":
    main()
