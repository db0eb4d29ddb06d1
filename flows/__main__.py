"""Entry point of `soli`: run a command, turn expected errors into one line and an exit code."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from warehouse.errors import PlatformError

FAILED, INTERRUPTED = 1, 130
DUCKDB_INTERRUPTED = "Query interrupted"

# Imports make objects by the hundred thousand, none of them garbage: looking for some every 700
# objects takes a tenth of a second of every command. Much more rarely, and models pile up.
gc.set_threshold(10_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `soli` with these arguments (default: the command line's) and exit.

    Exit codes: 0 done, 1 failed, 2 usage, 3 a gate said stop.
    """
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Exit code of a command line; nothing is raised unless `--debug` is given."""
    from flows.cli import app

    try:
        app(arguments, prog_name="soli")
    except SystemExit as stop:  # typer's own: usage errors, --help, --version, done, interrupted
        code = stop.code if isinstance(stop.code, int) else 0
        return _interrupted() if code == INTERRUPTED else code
    except KeyboardInterrupt:
        return _interrupted()
    except PlatformError as error:
        if "--debug" in arguments:
            raise
        return _fail(str(error), error.exit_code)
    except Exception as error:
        if str(error) == DUCKDB_INTERRUPTED:  # what DuckDB makes of Ctrl-C
            return _interrupted()
        if "--debug" in arguments:
            raise
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        return _fail(f"unexpected: {line} (run again with --debug for the whole story)", FAILED)
    return 0


def _interrupted() -> int:
    return _fail("interrupted; the same command goes on where it stopped", INTERRUPTED)


def _fail(message: str, code: int) -> int:
    from flows.console import visible

    sys.stderr.write(f"soli: {visible(' '.join(message.split()))}\n")
    return code


if __name__ == "__main__":
    main()
