"""Where a setting comes from, and what is said about one that makes no sense."""

import pytest

from agreement.consensus import ConsensusRule
from agreement.gates import GateRule
from agreement.report import MeasureConfig
from annotation.labeling import Dimension
from flows.annotate import dimensions_of
from flows.choose import chosen_method
from flows.measure import gate_rules
from flows.pair import recipe_of
from flows.settings import environment_for_prefect, load, owned
from warehouse.errors import PlatformError, SettingsError

SECRET = "s3cret-t0ken-nobody-may-see"


@pytest.fixture(autouse=True)
def nothing_of_the_caller(settings):
    """An empty folder as the working directory, and no variables of ours."""


@pytest.fixture
def toml(tmp_path):
    def write(text):
        (tmp_path / "soli.toml").write_text(text)

    return write


def refused(**flags):
    with pytest.raises(SettingsError) as caught:
        load(**flags)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_without_anything_the_home_is_beside_you_and_there_is_no_server():
    settings = load()
    assert str(settings.home) == ".soli"
    assert settings.label_studio_url is None
    assert settings.label_studio_api_key is None
    assert settings.store.home.is_absolute()


def test_a_flag_beats_the_environment_which_beats_dotenv_which_beats_soli_toml(
    monkeypatch, tmp_path, toml
):
    toml('home = "from-toml"')
    assert str(load().home) == "from-toml"
    (tmp_path / ".env").write_text("SOLI_HOME=from-dotenv\n")
    assert str(load().home) == "from-dotenv"
    monkeypatch.setenv("SOLI_HOME", "from-environment")
    assert str(load().home) == "from-environment"
    assert str(load(home="from-flag").home) == "from-flag"
    assert str(load(home=None).home) == "from-environment"  # a flag that was not given


def test_the_server_may_stand_in_dotenv_and_its_token_is_never_shown(tmp_path):
    (tmp_path / ".env").write_text(
        f"LABEL_STUDIO_URL=http://localhost:8080/\nLABEL_STUDIO_API_KEY={SECRET}\n"
    )
    settings = load()
    assert settings.label_studio_url == "http://localhost:8080"
    assert settings.label_studio_api_key.get_secret_value() == SECRET
    for shown in (repr(settings), str(settings), str(settings.model_dump_json())):
        assert SECRET not in shown


def test_a_dotenv_with_other_people_s_variables_is_fine(tmp_path):
    (tmp_path / ".env").write_text("AWS_REGION=x\nSOLI_HOME=here\n")
    assert str(load().home) == "here"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hom = 'x'", "nobody knows 'hom'; the settings are agreement, "),
        ("home = [", "no TOML"),
        ("home = 3", "setting home"),
        (f"label_studio_api_key = '{SECRET}'", "secret; put it in the environment"),
        (f"LABEL_STUDIO_API_KEY = '{SECRET}'", "secret; put it in the environment"),
        ("label_studio_url = 'localhost:8080'", "must start with http:// or https://"),
        ("label_studio_url = 'file:///etc/passwd'", "must start with http:// or https://"),
        (f"label_studio_url = 'http://ann:{SECRET}@host'", "must not hold a name or password"),
        ("dimensions = 'shape'", "setting dimensions"),
        ("[gates]\nthreshold = 0.3", "setting gates"),
        ("pairs = 3", "setting pairs"),
        ("[mapping.shape]\nYes = 'Pass'", "setting mapping.shape.Yes"),
        ("reviewers = [3]", "setting reviewers.0"),
    ],
)
def test_a_soli_toml_that_makes_no_sense_is_refused_by_name(toml, text, words):
    toml(text)
    assert words in refused()


def test_a_soli_toml_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "soli.toml").write_bytes(b"home = '\xff\xfe'")
    assert "soli.toml: no TOML" in refused()
    (tmp_path / "soli.toml").unlink()
    (tmp_path / "soli.toml").mkdir()
    assert "soli.toml: cannot be read" in refused()


def test_a_bad_variable_is_named_without_its_value(monkeypatch):
    monkeypatch.setenv("SOLI_PAIRS", f"{{{SECRET}")
    assert "pairs" in refused()
    monkeypatch.delenv("SOLI_PAIRS")
    monkeypatch.setenv("LABEL_STUDIO_URL", f"ftp://{SECRET}")
    assert "LABEL_STUDIO_URL" in refused()


def test_tables_may_be_given_as_json_in_the_environment(monkeypatch):
    monkeypatch.setenv("SOLI_CONSENSUS", '{"method": "majority", "minimum_votes": 1}')
    assert chosen_method(load()) == "majority"


# Sections, through the dataclasses that own them


@pytest.mark.parametrize(
    ("owner", "section", "values", "words"),
    [
        (MeasureConfig, "agreement", {"replicate": 10}, "nobody knows 'replicate'"),
        (MeasureConfig, "agreement", {"replicates": "many"}, "agreement: replicates is 'many'"),
        (MeasureConfig, "agreement", {"replicates": 2.5}, "agreement: replicates is 2.5"),
        (MeasureConfig, "agreement", {"slices": "generator"}, "agreement: slices is 'generator'"),
        (MeasureConfig, "agreement", {"unit": "clip"}, "agreement: unit is 'clip'"),
        (MeasureConfig, "agreement", {"level": 95}, "level"),
        (ConsensusRule, "consensus", {"minimum_votes": "2"}, "consensus: minimum_votes is '2'"),
        (ConsensusRule, "consensus", {"minimum_votes": 0}, "minimum_votes=0"),
        (ConsensusRule, "consensus", {"method": "best"}, "'best'"),
        (ConsensusRule, "consensus", {"pass_at": 0.1}, "fail_at < pass_at"),
        (ConsensusRule, "consensus", {"prior": {"right": -1}}, "right=-1"),
        (ConsensusRule, "consensus", {"prior": {"rigt": 1}}, "rigt"),
        (ConsensusRule, "consensus", {"prior": {"right": "x"}}, "consensus"),
        (GateRule, "gates", {"threshold": "high"}, "gates: threshold is 'high'"),
        (GateRule, "gates", {"threshold": 2}, "threshold 2"),
        (GateRule, "gates", {"side": "middle"}, "middle"),
        (GateRule, "gates", {"statistic": "beta"}, "beta"),
        (GateRule, "gates", {"minimum_items": 0}, "minimum_items=0"),
        (Dimension, "dimensions", {"name": "shape"}, "question is missing"),
        (Dimension, "dimensions", {"name": "a", "question": "q", "guidelines": "g"}, "be a list"),
        (
            Dimension,
            "dimensions",
            {"name": "Shape!", "question": "q", "guidelines": ["g"]},
            "Shape!",
        ),
        (Dimension, "dimensions", {"name": 3, "question": "q"}, "dimensions: name is 3"),
    ],
)
def test_a_bad_value_of_a_section_is_one_line_that_names_the_field(owner, section, values, words):
    with pytest.raises(PlatformError) as caught:
        owned(owner, section, values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_of_toml_become_tuples_and_whole_numbers_may_stand_for_floats():
    assert owned(MeasureConfig, "agreement", {"slices": ["generator"]}).slices == ("generator",)
    assert owned(GateRule, "gates", {"threshold": 0}).threshold == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agreement]\nreplicates = 'many'", "replicates"),
        ("[[gates]]\ndimension = 'sharpness'", "nobody labelled 'sharpness'"),
        ("[[gates]]\ndimension = ['a']", "is no name"),
        ("[[gates]]\ntreshold = 0.1", "nobody knows 'treshold'"),
    ],
)
def test_bad_sections_reach_the_user_as_one_line(soli, small, toml, text, words):
    toml(text)
    code, out, err = soli("agreement", "report")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("soli: ")
    assert words in line


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("seeds = 3", "seeds"),
        ("seed = 'x'", "seed"),
        ("dimensions = 'semantic_alignment'", "dimensions"),
        ("dimensions = []", "dimensions"),
        ("dimensions = ['beauty']", "beauty"),
        ("kinds = ['win_win']", "win_win"),
        ("strategy = 3", "strategy"),
        ("split = 3", "split"),
        ("split = {train = 0.5}", "split"),
        ("split = {train = 'a', validation = 0, test = 0}", "split.train"),
        ("counts = 4", "counts"),
        ("counts = {win_lose = 5}", "counts.win_lose"),
        ("counts = {win_lose = {train = 'lots'}}", "lots"),
        ("kinds = ['win_lose']\ncounts = {win_lose = {train = 100000}}", "100000"),
        ("ood_generators = 'south'", "ood_generators"),
        ("thresholds = [1]", "thresholds"),
        ("overrides = 3", "overrides"),
        ("soft = 'yes'", "soft"),
        ("max_per_item = 0", "max_per_item"),
    ],
)
def test_a_bad_recipe_section_is_one_line_that_names_the_field(soli, small, toml, section, words):
    toml(f"[pairs]\n{section}\n")
    code, out, err = soli("pairs", "build", "--dry-run")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert words in line
    assert "unexpected" not in line


def test_dimensions_and_recipe_come_from_soli_toml(small, toml):
    toml(
        "[[dimensions]]\nname = 'shape'\nquestion = 'Sound?'\nguidelines = ['Look at it.']\n"
        "[pairs]\nseed = 11\ndimensions = ['semantic_alignment']\n"
        "[[gates]]\nthreshold = 0.3\n[[gates]]\ndimension = 'b'\nstatistic = 'raw'\n"
    )
    settings = load(home=small.home)
    assert dimensions_of(settings) == (Dimension("shape", "Sound?", ("Look at it.",)),)
    recipe = recipe_of(settings, settings.store)
    assert (recipe.seed, recipe.dimensions) == (11, ("semantic_alignment",))
    rules = gate_rules(settings, ["a", "b"])
    assert rules["a"] == (GateRule(threshold=0.3),)
    assert rules["b"] == (GateRule(threshold=0.3), GateRule(statistic="raw"))


def test_without_gates_every_dimension_has_the_default_one():
    assert gate_rules(load(), ["a", "b"]) == {"a": (GateRule(),), "b": (GateRule(),)}


def test_the_server_s_program_is_looked_for_and_its_absence_named(tmp_path, monkeypatch):
    assert load().server_home.is_absolute()
    program = tmp_path / "label-studio"
    program.write_text("")
    monkeypatch.setenv("SOLI_LABEL_STUDIO", str(program))
    assert load().server_binary == program
    monkeypatch.setenv("SOLI_LABEL_STUDIO", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"nowhere.*SOLI_LABEL_STUDIO"):
        _ = load().server_binary


def test_prefect_gets_a_home_inside_ours_unless_the_user_has_a_server(tmp_path, monkeypatch):
    import os

    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_LOGGING_LEVEL", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "x")  # so that it is put back
        monkeypatch.delenv(name)
    environment_for_prefect(tmp_path)
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "prefect")
    monkeypatch.delenv("PREFECT_HOME")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    environment_for_prefect(tmp_path)
    assert "PREFECT_HOME" not in os.environ
