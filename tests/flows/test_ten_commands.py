"""The ten commands of docs/trainers.md, run in their order, say what the page says."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.__main__ import run

ROOT = Path(__file__).parents[2]
VARIES = (  # by machine and moment; the pair set's own digest does not
    (r"\b(?!774b1a93a55336f7|774b1a93a553\b)[0-9a-f]{12,}\b", "ID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "THEN"),
    (r"[-+]?\d+\.\d+(e-?\d+)?", "NUMBER"),
    (r"─+", "─"),
    (r"\s+", " "),
)


def console():
    """Commands of the section, each with the lines that the page prints below it."""
    page = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    section = page.split("\n## Ten commands\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```console\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *printed = part.splitlines()
        yield shlex.split(command), printed


def alike(line, folder):
    """A line without what varies."""
    line = line.replace(f"{folder}{os.sep}", "")
    for pattern, word in VARIES:
        line = re.sub(pattern, word, line)
    return line.strip()


def in_order(wanted, lines):
    """Whether all wanted lines stand among the others, in their order."""
    rest = iter(lines)
    return all(line in rest for line in wanted)


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_the_page_goes_from_a_foreign_csv_to_a_scored_list(tmp_path, monkeypatch, capfd):
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the process that trains
    for name in ("SOLI_HOME", "SOLI_TABLES"):
        monkeypatch.delenv(name, raising=False)
    commands = list(console())
    assert len(commands) == 10
    for (program, *arguments), printed in commands:
        if program == "soli":
            code = run(arguments)
        else:
            code = subprocess.run([program, *arguments], check=False).returncode
        shown = capfd.readouterr()
        assert code == 0, shown.err
        said = [alike(line, tmp_path) for line in shown.out.splitlines()]
        whole = [alike(line, tmp_path) for line in printed if line.strip() != "…"]
        assert in_order(whole, said), (arguments, whole, said)
        if len(whole) == len(printed):  # nothing is left out on the page
            assert whole == [line for line in said if line]
