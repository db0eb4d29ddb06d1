"""What somebody changed in a project by hand, found without a server."""

from dataclasses import replace

import pytest

from annotation.client import Project
from annotation.drift import Wanted, config_diff, differences
from annotation.labeling import DEFAULT_DIMENSIONS, instructions, labeling_config
from annotation.projects import SETTINGS
from warehouse.errors import AnnotationError

SOURCE = "77777777-7777-4777-8777-777777777777"
CONFIG = labeling_config(DEFAULT_DIMENSIONS, SOURCE)
NAMES = tuple(dimension.name for dimension in DEFAULT_DIMENSIONS)
TOLD = instructions(DEFAULT_DIMENSIONS)
WANTED = Wanted(CONFIG, NAMES, {}, TOLD, 3)
PROJECT = Project(1, "Batch 7", CONFIG, f"soli-source: {SOURCE}", overlap=3)
AS_MADE = {name: value for name, (value, _) in SETTINGS.items()} | {"expert_instruction": TOLD}


def found(project=PROJECT, wanted=WANTED, **settings):
    return differences(project, AS_MADE | settings, wanted)


def test_a_project_as_soli_made_it_has_no_difference():
    assert found() == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('value="Pass"', 'value="OK"', "choices are ['OK', 'Fail']"),
        ('required="true"', 'required="false"', "could leave it out"),
        ('name="subject_deformity"', 'name="shape"', "subject_deformity: no <Choices>"),
    ],
)
def test_what_ingestion_would_misread_is_told_by_dimension(old, new, words):
    rows = found(replace(PROJECT, config=CONFIG.replace(old, new)))
    assert any(words in row.is_now for row in rows)
    assert {row.effect for row in rows} == {"answers are quarantined, or missing"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('hotkey="1"', 'hotkey="9"'),
        ("Does every subject keep a sound shape?", "Is it pretty?"),
        ('value="$video"', 'value="$clip"'),
    ],
)
def test_other_words_keys_and_fields_are_told_once_with_their_lines(old, new):
    assert old in CONFIG
    changed = CONFIG.replace(old, new)
    (row,) = found(replace(PROJECT, config=changed))
    assert row.what == "labelling"
    lines = config_diff(CONFIG, changed)
    assert [line[0] for line in lines] == ["-", "+"]
    assert old in lines[0]
    assert new in lines[1]


def test_another_way_of_writing_the_same_configuration_is_no_difference():
    other = CONFIG.replace("/>", " />").replace("\n", "\n\n  ")
    assert found(replace(PROJECT, config=other)) == []


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_watched(name):
    (row,) = found(**{name: "something else"})
    assert (row.what, row.is_now) == (name, "something else")


@pytest.mark.parametrize(("overlap", "words"), [(1, "2 short of"), (5, "2 more"), (0, "3 s")])
def test_an_overlap_other_than_the_design_labels_is_told(overlap, words):
    (row,) = found(replace(PROJECT, overlap=overlap))
    assert (row.what, row.is_now, row.should_be) == ("maximum_annotations", str(overlap), "3")
    assert words in row.effect


def test_a_pause_of_ours_is_no_difference():
    noted = f"{PROJECT.description}\n[paused by Soli, overlap 3: lunch]"
    assert found(replace(PROJECT, overlap=0, description=noted)) == []


def test_other_rules_for_annotators_are_told_but_not_other_tags():
    (row,) = found(expert_instruction="<p>Be quick.</p>")
    assert row.what == "instructions"
    assert found(expert_instruction=TOLD.replace("<h4>", "<h4 >").replace("</p>", "</p>\n")) == []


def test_a_project_that_lost_its_source_cannot_be_ingested():
    bare = replace(PROJECT, description="", config=CONFIG.replace("soli-source", "source"))
    rows = found(bare, replace(WANTED, config=""))
    assert [row.what for row in rows] == ["source"]


def test_an_adopted_project_is_read_by_its_mapping_and_keeps_its_own_instructions():
    config = CONFIG.replace('value="Pass"', 'value="OK"')
    wanted = Wanted("", NAMES, {name: {"OK": "pass"} for name in NAMES}, None, None)
    assert found(replace(PROJECT, config=config), wanted, expert_instruction="Ours.") == []


def test_a_configuration_with_entities_is_refused_before_it_is_parsed():
    with pytest.raises(AnnotationError, match="DOCTYPE"):
        config_diff(CONFIG, '<!DOCTYPE x [<!ENTITY a "b">]><View/>')
