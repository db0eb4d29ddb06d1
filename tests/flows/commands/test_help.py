"""Every command explains itself, and all keep one convention of options."""

import pytest
import typer

from flows.__main__ import run
from flows.cli import app


def commands(group=None, path=()):
    """Every command with its words."""
    group = group or typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = {" ".join(path): command for path, command in commands()}
WRITES_ALL_THE_SAME = {
    *("annotate annotators", "annotate server", "demo", "warehouse rebuild"),
    *("flows run", "flows serve"),  # `soli ingest` has the dry run
}
ONLY_READS = {
    "agreement compare",
    "agreement verify",
    "pairs diff",
    "pairs plan",
    "pairs stats",
    "trace",
    "warehouse diff",
    "warehouse open",
    "warehouse quarantine list",
    "warehouse quarantine show",
    "warehouse ui",
    "warehouse verify",
}


def options(command):
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("command", ALL)
def test_every_command_has_help_with_examples_of_itself(soli, command):
    code, out, err = soli(*command.split(), "--help")
    assert (code, err) == (0, "")
    examples = out.split("Examples:")[1]
    assert f"soli {command}" in examples or f"{command} --" in examples
    assert "\x08" not in out


@pytest.mark.parametrize("command", ALL)
def test_every_option_says_what_it_is(command):
    for parameter in ALL[command].params:
        assert parameter.help, f"{command}: {parameter.name}"


def test_the_whole_help_names_every_noun_and_the_exit_codes(soli):
    code, out, _ = soli("--help")
    assert code == 0
    for command in ALL:
        assert command.split()[0] in out
    assert "0 done, 1 failed, 2 usage, 3 a gate said stop" in out


def test_what_reads_speaks_json_and_what_writes_has_a_dry_run():
    for name, command in ALL.items():
        if name not in {"warehouse rebuild", "flows serve"}:
            assert "--json" in options(command), name
        assert ("--dry-run" in options(command)) != (name in ONLY_READS | WRITES_ALL_THE_SAME), name


@pytest.mark.parametrize("words", [[], ["pairs"], ["annotate", "project"]])
def test_a_noun_alone_shows_its_help(capsys, words):
    assert run(words) == 2
    shown = capsys.readouterr()
    assert "Commands:" in shown.out + shown.err


def test_the_version_is_that_of_the_distribution(soli):
    from importlib.metadata import version

    assert soli("--version") == (0, f"soli {version('soli')}\n", "")
