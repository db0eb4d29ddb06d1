"""The `soli` command, one module a noun: parse, one call, an exit code."""
