"""Deployments served by a real Prefect server: scheduled nights, a stop told, a kill survived."""

import http.server
import json
import os
import shutil
import threading
import tomllib
from datetime import UTC, datetime

import httpx
import psutil
import pytest
import yaml

from flows.beats import beats
from flows.pair import newest_pair_set
from flows.settings import Settings
from warehouse.store import Store

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("prefect")]

STRICT = "[[gates]]\nthreshold = 0.9\n"
NEVER = "0 2 29 2 *"  # in the night of a leap day
OFTEN = "* * * * * */20"  # Prefect knows seconds, as a sixth field: nobody waits for the minute
REASON = "a test"
SECONDS = 60  # for what was killed to be gone
TOKEN = "s3cret-t0ken-nobody-may-see"
PRIVATE = (TOKEN, TOKEN[::-1], "Annabella", "Quist", "private.example", ".mp4", "local-files")


def named(name, flow="soli-nightly"):
    """Question for a deployment, and for its runs."""
    return {"deployments": {"name": {"any_": [name]}}, "flows": {"name": {"any_": [flow]}}}


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is told."""

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.server.told.append(json.loads(self.rfile.read(length)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def told():
    """What the receiver of notifications was told, and its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.told = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.told, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def in_prefect(prefect_api):
    """This process, too, talks to the server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.fixture(scope="module")
def automations(told, in_prefect):
    """Automations that tell the receiver; ingestion is behind after ten seconds."""
    from datetime import timedelta

    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.client.orchestration import get_client

    from flows.automations import notify

    block = CustomWebhookNotificationBlock(
        name="tests", url=told[1], json_data={"subject": "{{subject}}", "body": "{{body}}"}
    )
    block.save("tests", overwrite=True)
    first = notify("custom-webhook/tests", timedelta(minutes=30))
    again = notify("custom-webhook/tests", timedelta(seconds=10))
    assert [row.outcome for row in first] == ["made"] * 3
    assert [row.outcome for row in again] == ["updated"] * 3
    yield told[0]
    with get_client(sync_client=True) as client:  # the server goes on, and would go on telling
        for row in again:
            for found in client.read_automations_by_name(row.name):
                client.delete_automation(found.id)


@pytest.fixture(scope="module")
def stage(small_home, tmp_path_factory, prefect_api, process):
    """A home whose gates stop everything, and a function that serves its nights."""
    folder = tmp_path_factory.mktemp("nights")
    shutil.copytree(small_home, folder / "home", symlinks=True)
    (folder / "soli.toml").write_text(STRICT)
    environment = {
        "PREFECT_API_URL": prefect_api,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }

    def serve(cron, name):
        line = ("soli", "--home", folder / "home", "flows", "serve", "nightly", "train")
        return process(*line, "--nightly", cron, "--name", name, folder=folder, **environment)

    return folder, serve


def artifacts(ask, run):
    query = {"flow_run_id": {"any_": [run["id"]]}}
    return {found["key"]: found["data"] for found in ask("/artifacts/filter", artifacts=query)}


def subjects(told):
    return [message["subject"] for message in told]


def test_a_scheduled_night_stops_at_the_gate_with_an_artifact_and_a_notification(
    stage, automations, ask, until
):
    folder, serve = stage

    def stopped():
        runs = ask("/flow_runs/filter", **named("nights"))
        return [run for run in runs if run["state_type"] == "FAILED"]

    with serve(OFTEN, "nights"):
        (run, *_) = until(stopped, "a night")
    out = (folder / "out").read_text()
    assert run["auto_scheduled"], out
    assert "gate says stop for" in run["state"]["message"]
    assert "\n" not in run["state"]["message"]
    page = artifacts(ask, run)["soli-measure"]
    assert "**stop** | upper end" in page
    assert "lies below 0.9" in page
    assert "soli-pairs" not in artifacts(ask, run)
    wanted = "Soli: the gate stops subject_deformity"
    until(lambda: wanted in subjects(automations), "the notification")
    (message, *_) = (each for each in automations if each["subject"] == wanted)
    assert "lies below 0.9" in message["body"]
    assert "generator=" in message["body"]
    assert "stopped; the schedules are paused" in out


def test_a_pull_that_does_not_come_is_told(automations, until):
    wanted = "Soli: ingestion falls behind"
    until(lambda: wanted in subjects(automations), "the notification")


def kill(process):
    """End a process and those it started, without a word."""
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        each.kill()
    process.wait()
    gone, left = psutil.wait_procs(family[1:], SECONDS)
    assert gone
    assert not left


@pytest.fixture(scope="module")
def undisturbed(small_home, tmp_path_factory):
    """The set that the night builds where nothing disturbs it, and no Prefect is near."""
    from flows.measure import build, measure
    from flows.pair import build as build_set
    from flows.pair import recipe_of

    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(small_home, folder / "home", symlinks=True)
    settings = Settings(home=folder / "home", gates=tuple(tomllib.loads(STRICT)["gates"]))
    store = settings.store
    measure(settings, store)
    build(settings, store)
    return build_set(settings, store, recipe_of(settings, store), override=REASON)[0]


def test_a_run_that_was_killed_is_found_marked_told_and_resumed_to_the_same_digests(
    stage, undisturbed, automations, ask, until, *, files
):
    folder, serve = stage
    home = folder / "home"
    card = home / "cards" / f"{undisturbed.pair_set_id}.md"
    card.parent.mkdir()
    os.mkfifo(card.with_suffix(".part"))  # who writes it waits until somebody reads
    which = named("killed")  # runs of another deployment that come late are in nobody's way
    with serve(NEVER, "killed") as running:
        (deployment,) = until(lambda: ask("/deployments/filter", **which), "the deployment")
        asked = {"parameters": {"override": REASON}}
        made = ask(f"/deployments/{deployment['id']}/create_flow_run", **asked)
        until(lambda: "soli-card" in artifacts(ask, made), "the artifacts")
        kill(running)
    card.with_suffix(".part").unlink()
    (beat,) = beats(home)
    assert (beat.run_id, beat.alive) == (made["id"], False)

    def run():
        (found,) = ask("/flow_runs/filter", flow_runs={"id": {"any_": [made["id"]]}})
        return found

    assert run()["state_type"] == "RUNNING"  # Prefect does not know
    with serve(NEVER, "killed"):
        until(lambda: run()["state_type"] == "COMPLETED", "the resumed run")
    states = [state["name"] for state in states_of(ask, made["id"])]
    assert states.index("Crashed") < states.index("Completed")
    assert run()["run_count"] == 2
    assert beats(home) == []
    wanted = f"Soli: run {run()['name']} resumed"
    until(lambda: wanted in subjects(automations), "the notification")
    again = newest_pair_set(Store(home))
    assert again["pair_set_id"] == undisturbed.pair_set_id
    assert again["digest"] == undisturbed.digest
    tables = {name for name in files(undisturbed.path) if name.endswith(".parquet")}
    assert tables
    assert all(files(again["path"])[name] == files(undisturbed.path)[name] for name in tables)
    assert "Licence: not stated" in card.read_text()
    assert "data:image/svg+xml;base64," in artifacts(ask, run())["soli-pairs"]


def states_of(ask, run_id):
    """States of a run, the oldest first; the API lists them by GET alone."""
    from prefect.settings import PREFECT_API_URL

    answer = httpx.get(
        f"{PREFECT_API_URL.value()}/flow_run_states/", params={"flow_run_id": run_id},
        trust_env=False,
    )  # fmt: skip
    return sorted(answer.json(), key=lambda state: state["timestamp"])


def test_a_training_may_be_started_by_a_new_pair_set_but_is_not_unless_asked(stage, ask):
    (deployment,) = ask("/deployments/filter", **named("nights", "soli-train"))
    assert all(
        field["description"]
        for field in deployment["parameter_openapi_schema"]["properties"].values()
    )
    named_so = {"name": {"any_": ["soli: train on a new pair set"]}}
    (train,) = (
        each
        for each in ask("/automations/filter", automations=named_so)
        if each["actions"][0]["deployment_id"] == deployment["id"]
    )
    assert not train["enabled"]


def test_the_token_of_label_studio_may_lie_in_a_secret_block(in_prefect, monkeypatch, tmp_path):
    from prefect.blocks.system import Secret

    from flows.annotate import token_of

    monkeypatch.chdir(tmp_path)
    Secret(value="t0ken").save("label-studio", overwrite=True)
    there = {"label_studio_url": "http://127.0.0.1:9", "home": tmp_path}
    assert token_of(Settings(label_studio_api_key_block="label-studio", **there)) == "t0ken"


@pytest.mark.parametrize(
    ("value", "words"), [(None, "no readable Secret block"), ({"a": 1}, "text")]
)
def test_a_secret_block_that_is_missing_or_holds_no_text_is_named(
    in_prefect, monkeypatch, tmp_path, value, words
):
    from prefect.blocks.system import Secret

    from flows.annotate import token_of
    from warehouse.errors import SettingsError

    monkeypatch.chdir(tmp_path)
    if value:
        Secret(value=value).save("odd", overwrite=True)
    settings = Settings(
        label_studio_url="http://127.0.0.1:9", label_studio_api_key_block="odd", home=tmp_path
    )
    with pytest.raises(SettingsError, match=words):
        token_of(settings)


def test_a_block_for_notifications_that_is_not_there_is_named(in_prefect):
    from datetime import timedelta

    from flows.automations import notify
    from warehouse.errors import SettingsError

    with pytest.raises(SettingsError, match=r"no block 'slack-webhook/nobody'; make"):
        notify("slack-webhook/nobody", timedelta(minutes=30))


def test_the_file_for_work_pools_says_what_is_served():
    from pathlib import Path

    from flows.deployments import DEPLOYMENTS, TAGS, on_new_pairs

    file = Path(__file__).parents[2] / "prefect.yaml"
    rows = yaml.safe_load(file.read_text())["deployments"]
    assert [row["entrypoint"] for row in rows] == [each.entrypoint for each in DEPLOYMENTS.values()]
    for row, spec in zip(rows, DEPLOYMENTS.values(), strict=True):
        assert row["name"] == row["work_pool"]["name"] == "soli"
        assert row["work_pool"]["job_variables"]["working_dir"] == "{{ $PWD }}"  # has soli.toml
        assert row["description"] == spec.flow.description
        assert row["tags"] == TAGS
        assert row["concurrency_limit"] == {
            "limit": spec.limit.limit,
            "collision_strategy": spec.limit.collision_strategy.value,
        }
        (when,) = row.get("schedules", [{}])
        assert (when.get("interval"), when.get("cron")) == (spec.interval, spec.cron)
        assert bool(row.get("triggers")) == spec.on_pairs
    (trigger,) = rows[2]["triggers"]
    wanted = on_new_pairs(enabled=False)
    assert trigger["name"] == wanted.name
    assert set(trigger["expect"]) == wanted.expect
    assert (trigger["enabled"], trigger["parameters"]) == (False, wanted.parameters)


def test_neither_log_lines_nor_prefect_hold_secrets_people_or_media_after_a_whole_run(
    in_prefect, soli, settings, export, monkeypatch, *, tasks, ask
):
    for task in tasks:
        for annotation in task["annotations"]:
            person = annotation["completed_by"]
            name = {"first_name": f"Annabella{person}", "last_name": f"Quist{person}"}
            email = f"bella{person}@private.example"
            annotation["completed_by"] = {"id": person, "email": email, **name}
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", TOKEN[::-1])
    monkeypatch.setenv("SOLI_HOME", str(settings.home))
    export = export(tasks)
    before = {found["id"] for found in ask("/artifacts/filter")}
    began = datetime.now(UTC)
    commands = (
        (0, "ingest", "--export", export),
        (1, "ingest", "--export", export.with_name("Annabella11's-bella11@private.example.json")),
        (0, "flows", "run", "nightly"),
        (1, "flows", "run", "ingest"),  # nobody listens, however often it is tried
        (1, "flows", "run", "train"),  # the clips are no local files
        (1, "flows", "run", "score-back"),
        (1, "doctor"),
    )
    for code, *command in commands:
        if command == ["flows", "run", "ingest"]:  # not before: it sets up Prefect's log lines
            from flows import schedule

            short = schedule.find.with_options(retry_delay_seconds=[0.1, 0.2, 0.3])
            monkeypatch.setattr(schedule, "find", short)
        ended, _, said = soli("--log-json", *command)
        assert ended == code, said
        assert all(json.loads(line)["level"] for line in said.splitlines())
        assert not [word for word in PRIVATE if word in said], command
    made = [found for found in ask("/artifacts/filter") if found["id"] not in before]
    assert {"soli-measure", "soli-pairs", "soli-card"} <= {found["key"] for found in made}
    runs = ask("/flow_runs/filter", flow_runs={"start_time": {"after_": began.isoformat()}})
    assert len(runs) >= 4
    ids = [run["id"] for run in runs]
    steps = ask("/task_runs/filter", flow_runs={"id": {"any_": ids}})
    said = ask("/logs/filter", logs={"flow_run_id": {"any_": ids}})
    assert any("Traceback" in line["message"] for line in said)
    kept = json.dumps([made, runs, steps, said])
    assert not [word for word in PRIVATE if word in kept]


@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        ("soli-train", {"seed": -1}),
        ("soli-train", {"processes": 0}),
        ("soli-train", {"changes": "loss.margin=2"}),
        ("soli-nightly", {"override": " "}),
        ("soli-nightly", {"licence": ""}),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_before_a_run_is_made(
    stage, ask, prefect_api, flow, parameters
):
    (deployment,) = ask("/deployments/filter", **named("nights", flow))
    url = f"{prefect_api}/deployments/{deployment['id']}/create_flow_run"
    answer = httpx.post(url, json={"parameters": parameters}, trust_env=False)
    assert answer.status_code in {409, 422}, answer.text
    assert next(iter(parameters)) in answer.text


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("train", {"recipe": "nope"}, "no recipe 'nope'; the recipes are "),
        ("train", {"changes": ["loss.margni=2"]}, "loss.margin"),
        ("train", {"changes": ["seed=2"]}, "--seed says it"),
        ("train", {"pair_set": "../../x"}, "no pair set '../../x'"),
        ("train", {"recipe": "paper-1b", "base_model": "/nowhere"}, "/nowhere"),
        ("nightly", {"override": REASON, "changes": ["sede = 7"]}, "sede"),
        ("nightly", {"override": REASON, "changes": ["seed ="]}, "seed ="),
        ("score-back", {"model": "../x"}, "no model '../x'"),
    ],
)
def test_a_parameter_that_the_run_alone_can_judge_fails_it_with_one_line(
    in_prefect, small, monkeypatch, *, name, parameters, words
):
    from flows.deployments import DEPLOYMENTS

    monkeypatch.setenv("SOLI_HOME", str(small.home))
    state = DEPLOYMENTS[name].flow(**parameters, return_state=True)
    assert state.name == "Failed"
    assert words in state.message
    assert "\n" not in state.message
