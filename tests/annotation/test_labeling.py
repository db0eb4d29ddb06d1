import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from annotation.labeling import (
    DEFAULT_DIMENSIONS,
    Dimension,
    config_choices,
    config_dimensions,
    config_problems,
    config_source,
    hotkeys,
    instructions,
    labeling_config,
)
from warehouse.errors import AnnotationError

SOURCE = str(uuid.UUID(int=7))
NAMES = [dimension.name for dimension in DEFAULT_DIMENSIONS]
CONFIG = labeling_config(DEFAULT_DIMENSIONS, SOURCE)


def test_a_configuration_gives_back_its_dimensions_and_its_source():
    assert config_dimensions(CONFIG) == NAMES
    assert config_source(CONFIG) == SOURCE
    assert config_source("<View/>") is None
    assert config_problems(CONFIG, NAMES) == []


def test_label_studios_own_parser_reads_the_configuration_and_its_six_hotkeys():
    interface = LabelInterface(CONFIG)
    assert [control.name for control in interface.controls] == NAMES
    assert all(control.labels == ["Pass", "Fail"] for control in interface.controls)
    keys = [f'hotkey="{key}"' for key in "123456"]
    assert [CONFIG.count(key) for key in keys] == [1] * 6


QUESTIONS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1).filter(
    str.strip
)


@given(QUESTIONS, QUESTIONS)
def test_any_words_of_a_question_survive_as_xml(question, guideline):
    config = labeling_config([Dimension("a", question, (guideline,))], SOURCE)
    assert config_choices(config) == {"a": ("Pass", "Fail")}
    assert "<script" not in instructions([Dimension("a", question, ("<script>",))])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('value="Pass"', 'value="OK"', "choices are ['OK', 'Fail']"),
        ('required="true"', 'required="false"', "could leave it out"),
        ('choice="single"', 'choice="multiple"', "lets both be picked"),
        ('name="subject_deformity"', 'name="shape"', "subject_deformity: no <Choices>"),
        ('name="subject_deformity"', 'name="shape"', "shape: not among the dimensions"),
    ],
)
def test_a_configuration_that_would_yield_incomplete_labels_is_told(old, new, words):
    assert words in " | ".join(config_problems(CONFIG.replace(old, new), NAMES))


@pytest.mark.parametrize("text", ["<View>", "no xml", '<!DOCTYPE x [<!ENTITY a "b">]><View/>'])
def test_a_configuration_that_is_no_xml_or_brings_entities_is_refused(text):
    with pytest.raises(AnnotationError, match="configuration"):
        config_choices(text)


def asked(name, **fields):
    return Dimension(name, "?", ("Look.",), **fields)


@pytest.mark.parametrize(
    "dimensions", [[], [asked("a"), asked("a")], [asked(f"d{n}") for n in range(11)]]
)
def test_dimensions_need_different_names_and_hotkeys(dimensions):
    with pytest.raises(AnnotationError, match="different names"):
        labeling_config(dimensions, SOURCE)


@pytest.mark.parametrize(
    ("name", "question", "guidelines", "keys", "words"),
    [
        ("Has Space", "?", ("Look.",), (), "'Has Space' is not usable"),
        ("", "?", ("Look.",), (), "'' is not usable"),
        ("a", "  ", ("Look.",), (), "the question is empty"),
        ("a", "?", (), (), "no guidelines"),
        ("a", "?", ("  ",), (), "no guidelines"),
        ("a", "?", ("Look.",), ("p",), "give one for Pass and one for Fail"),
        ("a", "?", ("Look.",), ("p", "F1"), "a digit or a lower-case letter"),
    ],
)
def test_a_dimension_checks_itself(name, question, guidelines, keys, words):
    with pytest.raises(AnnotationError, match="dimension") as caught:
        Dimension(name, question, guidelines, hotkeys=keys)
    assert words in str(caught.value)


def test_a_dimension_s_own_hotkeys_are_kept_and_the_others_get_the_next_free_ones():
    dimensions = [asked("a"), asked("b", hotkeys=("p", "1")), asked("c")]
    assert hotkeys(dimensions) == [("2", "3"), ("p", "1"), ("4", "5")]
    config = labeling_config(dimensions, SOURCE)
    assert re.findall(r'hotkey="(.)"', config) == ["2", "3", "p", "1", "4", "5"]


@pytest.mark.parametrize(
    ("dimensions", "where"),
    [
        ([asked("a", hotkeys=("x", "x"))], "in dimension a and in a"),
        ([asked("a", hotkeys=("x", "y")), asked("b", hotkeys=("z", "y"))], "dimension a and in b"),
    ],
)
def test_a_hotkey_given_twice_is_told_with_both_places(dimensions, where):
    with pytest.raises(AnnotationError, match=r"hotkey '[xy]' is given twice") as caught:
        labeling_config(dimensions, SOURCE)
    assert where in str(caught.value)


def test_the_instructions_hold_guidelines_and_examples():
    told = instructions(DEFAULT_DIMENSIONS)
    for dimension in DEFAULT_DIMENSIONS:
        assert dimension.examples
        said = (dimension.question, *dimension.guidelines, *dimension.examples)
        assert all(line in told for line in said)
    assert "Skip" in told
    assert told.count("<br>") == len(DEFAULT_DIMENSIONS)  # the panel shows no margins


def test_choices_that_a_mapping_reads_are_sound():
    config = CONFIG.replace('value="Pass"', 'value="OK"')
    mapping = {name: {"OK": "pass"} for name in NAMES}
    assert config_problems(config, NAMES, mapping) == []
    assert config_problems(config, NAMES, {NAMES[0]: {"OK": "fail"}}) != []
