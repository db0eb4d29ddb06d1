"""`soli annotate` as users meet it: items from files, and projects on the real server."""

import json
import uuid
from pathlib import Path

import pytest

from annotation.labeling import DEFAULT_DIMENSIONS
from annotation.projects import ensure_project


def test_a_dry_import_of_items_probes_and_makes_no_home(soli, settings, tmp_path, unchanged):
    video = Path(__file__).parents[2] / "data" / "videos" / "example_2_A.mp4"
    (tmp_path / "v.mp4").write_bytes(video.read_bytes())
    rows = [{"item_id": "a", "prompt": "p", "media": "v.mp4"}, {"item_id": "b", "prompt": "p"}]
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with unchanged(settings.home):
        code, out, _ = soli("annotate", "items", "clips.jsonl", "--dry-run", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["items"], len(found["refused"])) == (1, 1)


@pytest.mark.slow
def test_broken_videos_are_refused_each_with_its_reason_and_the_good_ones_taken(soli, tmp_path):
    video = Path(__file__).parents[2] / "data" / "videos" / "example_2_A.mp4"
    whole = video.read_bytes()
    clips = {
        "good": whole,
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"#EXTM3U\nhttp://x/",
    }
    for name, content in clips.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
    outside = tmp_path.parent / "outside.mp4"
    outside.write_bytes(whole)
    media = {name: f"{name}.mp4" for name in (*clips, "missing")} | {"away": str(outside)}
    (tmp_path / "clips.jsonl").write_text(
        "\n".join(
            json.dumps({"item_id": name, "prompt": "a dog", "media": path})
            for name, path in media.items()
        )
        + "\nno object\n"
    )
    code, out, err = soli("annotate", "items", "clips.jsonl", "--json")
    assert code == 0
    assert {line.split(":")[0] for line in err.splitlines()} == {"  probing videos"}
    found = json.loads(out)
    assert found["items"] == 1
    reasons = {row["item_id"]: row["reason"] for row in found["refused"]}
    assert set(reasons) == {"cut", "empty", "text", "missing", "away", None}
    assert "0 bytes" in reasons["empty"]
    assert "does not exist" in reasons["missing"]
    assert "outside the media folders" in reasons["away"]
    code, out, err = soli("annotate", "items", "clips.jsonl")
    said = [line for line in err.splitlines() if "probing" not in line]
    assert len(said) == 6
    assert all(line.startswith("refused, row ") for line in said)


@pytest.mark.slow
@pytest.mark.usefixtures("no_faces")
def test_items_never_change_and_prompts_keep_their_first_attributes(soli, settings, tmp_path):
    video = Path(__file__).parents[2] / "data" / "videos" / "example_2_A.mp4"
    (tmp_path / "v.mp4").write_bytes(video.read_bytes())
    one = {"item_id": "a", "prompt": "a dog", "media": "v.mp4", "attributes": {"subject": "dog"}}
    two = {"item_id": "b", "prompt": "a dog ", "media": "v.mp4", "generator": "x"}

    def add(*rows):
        (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
        code, out, _ = soli("annotate", "items", "clips.jsonl", "--json")
        assert code == 0
        found = json.loads(out)
        return found["items"], found["prompts"], found["refused"]

    assert add(one) == (1, 1, [])
    assert add(one, two) == (1, 0, [])
    *added, refused = add({"item_id": "c"}, one, two | {"generator": "y", "design_k": 7})
    assert added == [0, 0]
    assert [row["row"] for row in refused] == [1, 3]
    assert "item b is known with another design_k, generator" in refused[1]["reason"]
    (prompt,) = settings.store.read("prompts").to_pylist()
    assert json.loads(prompt["attributes"]) == {"subject": "dog"}


@pytest.mark.server
def test_a_project_is_made_filled_and_pulled_from_the_command_line(soli, served, tmp_path):
    code, out, _ = soli("annotate", "project", "create", "--title", "From the shell", "--json")
    assert code == 0
    made = json.loads(out)
    rows = [
        {"item_id": f"shell_{n}", "prompt": f"a <b>bold</b> dog & {n}", "media": "https://x/v.mp4"}
        for n in range(3)
    ]
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
    add = ["annotate", "items", "clips.jsonl", "--project", str(made["id"]), "--json"]
    code, out, err = soli(*add)
    assert (code, "refused" in err) == (0, False)
    assert json.loads(out)["tasks"]["made"] == 3
    again = json.loads(soli(*add)[1])
    assert (again["items"], again["tasks"]["made"]) == (0, 0)
    code, out, err = soli("ingest", "--project", str(made["id"]), "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert found["source"] == made["source"]
    assert found["annotations"] == 0
    assert served.token not in out + err


@pytest.mark.server
def test_a_stranger_s_project_is_adopted_once_and_a_dry_run_leaves_it(soli, served, admin):
    config = (
        '<View><Video name="video" value="$video"/>'
        '<Choices name="q" toName="video"><Choice value="Pass"/><Choice value="Fail"/></Choices>'
        "</View>"
    )
    project = admin.create_project({"title": "Somebody else's", "label_config": config})
    update = ["annotate", "project", "update", "--project", str(project.id), "--json"]
    planned = json.loads(soli(*update, "--dry-run")[1])
    assert (planned["source"], planned["new_source"]) == (None, True)
    assert admin.project(project.id).source is None
    source = json.loads(soli(*update)[1])["source"]
    assert admin.project(project.id).source == source
    assert json.loads(soli(*update)[1])["source"] == source


@pytest.mark.server
def test_a_dry_run_for_a_duplicate_says_that_it_would_get_a_source(soli, served, admin):
    project = ensure_project(admin, str(uuid.uuid4()), "Copied", DEFAULT_DIMENSIONS)
    update = ["annotate", "project", "update", "--project", str(project.id)]
    named = f"project {project.id} (Copied), source {project.source}"
    assert soli(*update, "--dry-run")[1] == f"{named}\n"
    assert soli(*update, "--new-source", "--dry-run")[1] == f"{named}; it would get a new one\n"
    assert admin.project(project.id).source == project.source
    changed = json.loads(soli(*update, "--new-source", "--json")[1])
    assert changed["source"] == admin.project(project.id).source != project.source


@pytest.mark.server
def test_who_was_signed_up_before_is_not_signed_up_again(soli, served):
    sign_up = ("annotate", "annotators", "--sign-up")
    assert soli(*sign_up, "zoe@example.org")[2].startswith("signed up 1; names and passwords: ")
    again = soli(*sign_up, "zoe@example.org", "--sign-up", "yan@example.org")[2]
    assert again.startswith("signed up 1, 1 were before; names")
    assert soli(*sign_up, "zoe@example.org")[2].startswith("signed up 0, 1 were before; names")


DIMENSION = '[[dimensions]]\nname = "{name}"\nquestion = "Sound?"\nguidelines = ["Look."]\n{more}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DIMENSION.format(name="a", more='hotkeys = ["x", "y"]')
            + DIMENSION.format(name="b", more='hotkeys = ["y", "z"]'),
            "hotkey 'y' is given twice, in dimension a and in b",
        ),
        (
            DIMENSION.format(name="a", more='[mapping.beauty]\n"OK" = "pass"'),
            "section mapping: nobody is asked about dimension 'beauty'",
        ),
        (
            DIMENSION.format(name="a", more='[[gates]]\ndimension = "beauty"'),
            "section gates: nobody is asked about dimension 'beauty'",
        ),
        ('[[dimensions]]\nname = "a"\nquestion = "Sound?"\nguidelines = []\n', "a: no guidelines"),
        ('[[dimensions]]\nname = "a"\nquestion = "Sound?"\n', "guidelines"),
        (DIMENSION.format(name="a", more='hotkeys = ["1"]'), "one for Pass and one for Fail"),
        (DIMENSION.format(name="a", more="hotkeys = 3"), "dimensions: hotkeys is 3"),
    ],
)
def test_a_bad_template_is_one_line_that_says_which(soli, tmp_path, only_line, text, words):
    (tmp_path / "soli.toml").write_text(text)
    code, out, err = soli("annotate", "project", "create", "--dry-run")
    assert (code, out) == (1, "")
    assert words in only_line(err)


def test_a_template_of_one_s_own_holds_its_questions_guidelines_and_keys(soli, tmp_path):
    (tmp_path / "soli.toml").write_text(DIMENSION.format(name="a", more='hotkeys = ["p", "f"]'))
    code, out, _ = soli("annotate", "project", "create", "--dry-run")
    assert code == 0
    for part in ('name="a"', 'value="Sound?"', 'value="Look."', 'hotkey="p"', 'hotkey="f"'):
        assert part in out
