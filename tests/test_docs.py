"""What the documents say exists: commands, settings, tables, views, recipes, files."""

import re
import shlex
import subprocess
import tomllib
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest
import typer.main

from agreement.consensus import ConsensusRule
from agreement.dawid_skene import Prior
from agreement.flags import AnnotatorConfig
from agreement.gates import SIDES, GateRule
from agreement.report import SLICES, MeasureConfig
from agreement.statistics import RATIOS
from agreement.suitability import SuitabilityConfig
from annotation.comparisons import ComparisonConfig
from annotation.labeling import DEFAULT_DIMENSIONS, HOTKEYS, Dimension
from annotation.queue import QueueConfig
from flows.__main__ import run
from flows.cli import app
from flows.ingest import Ingested
from flows.schedule import Counts
from flows.settings import Settings
from pairing.recipe import Recipe
from training.config import TrainConfig
from training.recipes import RECIPES
from warehouse.contracts import FLAGS, METHODS, OUTCOMES, SUITABILITIES, TABLES
from warehouse.views import VIEWS, view

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
DOCUMENTS = ("README.md", "CHANGELOG.md", *PAGES)

# Hosts of package, container and model registries, in pieces so that this file names none.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("download", "pytorch", "org"),
        ("huggingface", "co"), ("docker", "io"), ("ghcr", "io"), ("anaconda", "org"),
    )
]  # fmt: skip
# Folders of a machine that somebody worked on.
MACHINE = re.compile(r"(?<![\w.~$-])/(?:work|home|root|Users|tmp/w)/[\w.-]+")


@cache
def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def section(name, title):
    """Text below a heading, up to the next of its level."""
    return text(name).split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def leaves(command, path=("soli",)):
    """Command lines that do something, with their commands."""
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from leaves(sub, (*path, name))
    else:
        yield " ".join(path), command


def code_blocks(name):
    return re.findall(r"^```(\w*)\n(.*?)^```$", text(name), flags=re.MULTILINE | re.DOTALL)


def first_cells(markdown):
    """Code in the first cell of each row of the tables."""
    return re.findall(r"^\| `([^`]+)`", markdown, flags=re.MULTILINE)


def command_lines(name):
    """`soli …` lines of a document's code blocks, as arguments."""
    for _, block in code_blocks(name):
        for line in block.splitlines():
            if called := re.match(r"(\$ )?([A-Z_]+=\S+ )*soli (?=.)", line):
                words = shlex.split(line[called.end() :], comments=True)
                yield tuple(takewhile(lambda word: word not in {">", "|", "&&", "&"}, words))


COMMANDS = dict(leaves(typer.main.get_command(app)))
PRINTED = sorted({line for name in DOCUMENTS for line in command_lines(name)})


def test_readme_lists_exactly_the_commands_there_are():
    assert sorted(first_cells(section("README.md", "Commands"))) == sorted(COMMANDS)


@pytest.mark.parametrize("line", sorted(COMMANDS))
def test_a_command_has_help_with_examples_of_itself(line):
    help_text = COMMANDS[line].help
    assert len(help_text.splitlines()[0]) > 20
    examples = help_text.split("Examples:")[1]
    name = line.removeprefix("soli ")
    assert re.search(rf"^\s+soli (--home \S+ )?{name}\b", examples, flags=re.MULTILINE)


@pytest.mark.parametrize("line", sorted(COMMANDS))
def test_a_command_that_says_something_can_say_it_as_json(line):
    exempt = {"soli warehouse rebuild", "soli flows serve"}  # a path; lines while it runs
    assert "--json" in options_of(COMMANDS[line]) or line in exempt


def options_of(command):
    return {name for parameter in command.params for name in parameter.opts}


def test_the_commands_that_cannot_be_rehearsed_are_named():
    without = {line for line, command in COMMANDS.items() if "--dry-run" not in options_of(command)}
    words = {"verify", "check", "open", "list", "stats", "plan", "show", "diff", "trace", "compare"}
    words |= {"doctor", "ui"}
    reading = {line for line in COMMANDS if line.split()[-1] in words}
    excepted = {
        "soli demo", "soli annotate server", "soli annotate annotators", "soli flows run",
        "soli flows serve", "soli warehouse rebuild",
    }  # fmt: skip
    assert without == reading | excepted
    prose = " ".join(section("README.md", "Commands").split()).partition("`--help`")[0]
    assert all(f"`{line.removeprefix('soli ')}" in prose for line in excepted)


def test_documents_show_commands():
    assert len(PRINTED) > 15


@pytest.mark.parametrize("arguments", PRINTED, ids=" ".join)
def test_a_printed_command_line_parses(arguments, capsys):
    assert run([*arguments, "--help"]) == 0  # --help is eager: nothing runs
    if arguments[0] == "--home":
        arguments = arguments[2:]
    assert f"Usage: soli {arguments[0]}" in capsys.readouterr().out
    command, rest = resolved(arguments)
    command.make_context("soli", list(rest))  # its options and their values


def resolved(arguments):
    """Command of a line, and what is left for it to parse."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command, arguments


def test_labels_of_elsewhere_make_an_export_that_can_be_read(tmp_path, monkeypatch, capsys):
    blocks = (block for _, block in code_blocks("docs/researchers.md"))
    (script,) = (block for block in blocks if "bluebirds.csv" in block)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    exec(script, {})
    given = ["ingest", "--export", "crowd.json", "--dimension", "is_indigo_bunting"]
    assert run(given) == 0
    assert run(["consensus", "build"]) == 0
    printed = re.search(r"dawid_skene   is_indigo_bunting.* (\w{12})…", text("docs/researchers.md"))
    assert printed[1] in capsys.readouterr().out


def test_screenshots_of_the_page_load_quickly():
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").glob("page-*.png")}
    assert sizes
    assert max(sizes.values()) < 150_000, sizes


def test_printed_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), flags=re.MULTILINE))
    assert targets >= {target for name in DOCUMENTS for target in made(name)}
    assert {"demo", "test"} <= set(made("README.md"))


def made(name):
    in_blocks = [block for _, block in code_blocks(name)]
    quoted = re.findall(r"`make ([a-z]+)`", text(name))
    return quoted + re.findall(r"^make ([a-z]+)", "\n".join(in_blocks), flags=re.MULTILINE)


def test_annotators_read_the_questions_and_the_keys_of_the_page():
    shown = text("docs/annotators.md")
    assert all(dimension.question in shown for dimension in DEFAULT_DIMENSIONS)
    keys = "".join(re.findall(r"`([0-9a-z])`", section("docs/annotators.md", "Keys")))
    assert HOTKEYS.startswith(keys)
    assert len(keys) > 2 * len(DEFAULT_DIMENSIONS)


def test_every_view_is_explained_with_its_question():
    rows = section("docs/researchers.md", "Views: one for each question")
    assert first_cells(rows) == list(VIEWS)
    for name in VIEWS:
        assert f"| `{name}` | {view(name).doc.split(' One row per ')[0]} |" in rows


def test_every_table_is_explained():
    assert first_cells(section("docs/researchers.md", "Tables of record")) == list(TABLES)


def test_every_setting_is_explained_with_its_variable():
    rows = section("docs/engineers.md", "Settings")
    assert first_cells(rows) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"SOLI_{name.upper()}"
        assert f"| `{name}` | `{variable}` |" in rows


def toml_block(name, start):
    found = [block for kind, block in code_blocks(name) if kind == "toml" and start in block]
    assert len(found) == 1
    return tomllib.loads(found[0])


def plain(value):
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("section_name", "owner"),
    [
        ("agreement", MeasureConfig),
        ("annotators", AnnotatorConfig),
        ("suitability", SuitabilityConfig),
        ("comparisons", ComparisonConfig),
        ("consensus", ConsensusRule),
        ("gates", GateRule),
        ("queue", QueueConfig),
    ],
)
def test_the_settings_file_shows_every_field_at_its_default(section_name, owner):
    shown = toml_block("docs/engineers.md", 'home = ".soli"')
    values = shown[section_name]
    values = dict(values[0]) if isinstance(values, list) else values
    if section_name == "gates":
        assert values.pop("dimension") == "all"
    own = {field.name: plain(getattr(owner(), field.name)) for field in fields(owner)}
    own.pop("prior", None)
    hidden = {name for name in own if own[name] is None}  # in comments: TOML has no null
    assert {k: v for k, v in values.items() if k != "prior"} == {
        name: value for name, value in own.items() if name not in hidden
    }
    assert all(f"\n# {name} = " in section("docs/engineers.md", "Settings") for name in hidden)


def test_the_settings_file_shows_the_prior_and_the_fields_of_a_dimension():
    shown = toml_block("docs/engineers.md", 'home = ".soli"')
    assert shown["consensus"]["prior"] == {f.name: getattr(Prior(), f.name) for f in fields(Prior)}
    assert set(shown["dimensions"][0]) == {field.name for field in fields(Dimension)}
    assert set(shown) <= set(Settings.model_fields)


def test_the_recipe_shows_every_field_at_its_default():
    shown = toml_block("docs/trainers.md", "[thresholds]")
    assert Recipe.from_dict(shown) == Recipe(dimensions=tuple(shown["dimensions"]))
    # in comments: they have no default to show
    hidden = {"max_per_item", "max_per_prompt", "in_prompt_share", "as_of", "overrides"}
    hidden |= {"combined", "win_ties", "quotas", "blocks"}
    assert set(shown) == {field.name for field in fields(Recipe)} - hidden
    assert all(name in section("docs/trainers.md", "The recipe") for name in hidden)


def recipe_rows():
    """The table of training recipes, from the recipes themselves."""
    return [recipe_row(name, RECIPES[name]("", "")) for name in sorted(RECIPES)]


def recipe_row(name, config):
    batch = f"{config.batch.size} {'items' if config.batch.kind == 'blocks' else 'pair'}"
    if config.batch.accumulation > 1:
        batch += f" × {config.batch.accumulation}"
    optimizer = config.optimizer
    cells = (
        f"`{name}`", len(config.dimensions), frames_of(config.frames), head_of(config.head),
        config.loss.kind, f"{config.loss.margin:g}", batch, config.batch.epochs,
        config.batch.max_steps or "–", f"{optimizer.lr:g}, {optimizer.head_lr:g}",
        optimizer.schedule, config.engine.precision,
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def frames_of(frames):
    rate = "" if frames.fps is None else f"{frames.fps:g} a second, at most "
    return f"{rate}{frames.count}"


def head_of(head):
    return " ".join(map(str, head.layers)) if head.kind == "hpqa" else head.kind


def test_training_recipes_are_shown_as_they_are():
    shown = section("docs/trainers.md", "Training recipes")
    assert [row for row in recipe_rows() if row not in shown] == []


def config_fields(kind, prefix=""):
    for field in fields(kind):
        default = field.default_factory() if callable(field.default_factory) else None
        if is_dataclass(default):
            yield from config_fields(type(default), f"{field.name}.")
        else:
            yield prefix + field.name


def test_every_field_of_a_training_config_is_explained():
    shown = first_cells(section("docs/trainers.md", "Training recipes"))
    assert [name for name in shown if name not in RECIPES] == list(config_fields(TrainConfig))


def test_every_quarantine_reason_is_explained():
    code = "".join(path.read_text() for path in sorted((ROOT / "annotation").glob("*.py")))
    given = re.findall(r'Rejection\(\s*[\w.]+, "(\w+)"', code)
    assert len(given) == code.count("Rejection(")  # else one is given in words of another form
    assert set(first_cells(section("docs/engineers.md", "Quarantine"))) == set(given)


def test_every_way_to_settle_a_quarantined_unit_is_explained():
    named = re.findall(r"^- \*(\w+)\*:", section("docs/engineers.md", "Quarantine"), re.MULTILINE)
    assert tuple(named) == OUTCOMES


@pytest.mark.parametrize(
    "title",
    ["Connect", "Schedule", "Watch", "Quarantine", "Replay a quarantine", "Restore a past state"],
)
def test_engineers_find_what_they_come_for_with_a_command(title):
    shown = section("docs/engineers.md", title)
    assert re.search(r"^(\$ )?soli ", shown, flags=re.MULTILINE)
    anchor = title.lower().replace(" ", "-")
    assert f"- [{title}](#{anchor})" in text("docs/engineers.md")


@pytest.mark.parametrize(("title", "counted"), [("Taking labels in", Ingested), ("Watch", Counts)])
def test_every_count_of_a_pull_is_explained(title, counted):
    shown = first_cells(section("docs/engineers.md", title))
    assert [name for name in shown if " " not in name] == [field.name for field in fields(counted)]


def test_every_role_and_choice_of_a_label_is_explained():
    shown = section("docs/researchers.md", "Which labels count")
    columns = view("labels").columns
    words = re.findall(r"\w+", f"{columns['role']} {columns['chosen']}")
    roles = {"design", "gold", "review", "escalation", "repeat", "only", "first", "next"}
    assert roles <= set(words)
    assert all(f"`{word}`" in shown for word in roles | {"answers", "chosen", "changed"})


def numbers(table):
    """Columns of a table that hold a measured number."""
    return [column.name for column in TABLES[table].columns if column.kind == "float64"]


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Agreement", [*RATIOS, *SLICES]),
        ("Annotators", [*numbers("annotators"), *FLAGS]),
        ("Consensus", METHODS),
        ("Gates", SIDES),
        (
            "Does a shared Pass mean the same quality?",
            [*numbers("suitability"), *SUITABILITIES],
        ),
    ],
)
def test_every_number_and_word_of_a_measurement_is_explained(title, names):
    rows = re.findall(r"^\| (`[^|]+)", section("docs/researchers.md", title), flags=re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert explained >= set(names)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_into_the_repository_resolve(name):
    prose = re.sub(r"^```.*?^```$", "", text(name), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name} links to {target}"
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def anchors(markdown):
    headings = re.findall(r"^#+ (.+)$", markdown, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def committed_texts():
    """Every text file under version control, or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in content:
            yield name, content.decode("utf-8")


def test_no_committed_text_names_a_registry_or_a_path_of_this_machine():
    found = []
    for name, content in committed_texts():
        found += [f"{name}: {host}" for host in REGISTRIES if host in content]
        found += [f"{name}: {match[0]}" for match in MACHINE.finditer(content)]
        if str(ROOT) in content:
            found.append(f"{name}: {ROOT}")
    assert found == []
