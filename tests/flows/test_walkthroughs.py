"""Commands of docs/trainers.md and docs/tutorial.md, run in their order, say what the pages say."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from annotation import server
from annotation.client import Client
from annotation.labeling import DEFAULT_DIMENSIONS
from annotation.members import sign_up
from flows.__main__ import run

ROOT = Path(__file__).parents[2]
KEPT = r"774b1a93a55336f7|774b1a93a553\b|c7c44db8c6a8f5f5|c7c44db8c6a8\b"  # the pair sets' own
VARIES = (  # by machine and moment
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "SOURCE"),
    (rf"\b(?!{KEPT})[0-9a-f]{{12,}}\b", "ID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( UTC)?", "THEN"),
    (r"127\.0\.0\.1:\d+", "SERVER"),
    (r"process \d+", "process"),
    (r"[-+]?\d+\.\d+(e-?\d+)?", "NUMBER"),
    (r"\blabel:\d+/", "label:/"),  # in the order of random ids
    (r"─+", "─"),
    (r"\s+", " "),
    (r"(seen 0 none 0 0 0) \d+ ?$", r"\1 NUMBER"),  # whole seconds of a pull
)


def console(text):
    """Commands of the console blocks, each with the lines printed below it."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
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


@pytest.fixture
def follow(tmp_path, monkeypatch, capfd):
    """Function that runs a command of a page, and compares what it says."""
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the process that trains
    for name in ("SOLI_HOME", "SOLI_TABLES", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def step(command, printed):
        program, *arguments = command
        if program == "soli":
            code = run(arguments)
        else:
            code = subprocess.run(command, check=False).returncode
        shown = capfd.readouterr()
        assert code == 0, shown.err
        printed = [line for line in printed if line]
        said = [alike(line, Path.cwd()) for line in shown.out.splitlines()]
        whole = [alike(line, Path.cwd()) for line in printed if line.strip() != "…"]
        assert in_order(whole, said), (arguments, whole, said)
        if len(whole) == len(printed):  # nothing is left out on the page
            assert whole == [line for line in said if line]

    return step


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_the_ten_commands_go_from_a_foreign_csv_to_a_scored_list(follow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    commands = list(console(page.split("\n## Ten commands\n")[1].split("\n## ")[0]))
    assert len(commands) == 10
    for command, printed in commands:
        follow(command, printed)


def judged(page):
    """Item -> Pass or Fail in each dimension, of the tutorial's table."""
    said = r" \| (Pass|Fail)"
    rows = re.findall(rf"^\| `(\w+)`{said}{said}{said} \|$", page, flags=re.MULTILINE)
    return {item: answers for item, *answers in rows}


def judge(given, emails):
    """What three people do in their browsers: answer every clip as the page says."""
    home = (Path(".soli") / "labelstudio").absolute()
    running = server.running(home)
    admin = Client(running.url, running.token)
    people = sign_up(admin, {email: email for email in emails}, home / "annotators.json")
    tasks = {task["data"]["item_id"]: task["id"] for page, _ in admin.tasks(1) for task in page}
    for person in people.values():
        for item, choices in given.items():
            person.annotate(tasks[item], {"result": list(map(answer, DEFAULT_DIMENSIONS, choices))})
        person.close()
    admin.close()


def answer(dimension, choice):
    value = {"choices": [choice]}
    return {"from_name": dimension.name, "to_name": "video", "type": "choices", "value": value}


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.xdist_group("training")
@pytest.mark.usefixtures("label_studio_template")
def test_the_tutorial_goes_from_an_empty_folder_to_scores(follow, tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    emails = re.findall(r"--sign-up (\S+)", page)
    try:
        for command, printed in console(page):
            if command[0] == "cat" and not Path(command[1]).exists():  # the reader writes it
                Path(command[1]).write_text("\n".join([*printed, ""]), encoding="utf-8")
            if command == ["soli", "ingest"]:
                judge(judged(page), emails)
            follow(command, printed)
    finally:
        server.stop((Path(".soli") / "labelstudio").absolute())
