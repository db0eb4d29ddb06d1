"""The scheduled pull: real Prefect with a server of its own, real Label Studio behind a proxy."""

import importlib.util
import json
import signal
import uuid
from pathlib import Path

import pytest

import annotation.connection
import flows.annotate
from annotation.labeling import DEFAULT_DIMENSIONS, OBJECT
from annotation.projects import ensure_project
from warehouse.errors import AnnotationError, StoreError

spec = importlib.util.spec_from_file_location("soli_proxy", Path(__file__).parents[1] / "proxy.py")
faults = importlib.util.module_from_spec(spec)
spec.loader.exec_module(faults)

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("prefect")]

SECONDS = 180  # a busy machine ends a process slowly


def labelled_task(number, user):
    values = {d.name: "Pass" if (number + len(d.name)) % 2 else "Fail" for d in DEFAULT_DIMENSIONS}
    names = {"to_name": OBJECT, "type": "choices"}
    return {
        "data": {"item_id": f"v{number}", "prompt": "a ball", "video": "https://clips.example/a"},
        "annotations": [
            {
                "completed_by": user,
                "ground_truth": False,
                "result": [
                    {"from_name": name, "value": {"choices": [value]}, **names}
                    for name, value in values.items()
                ],
            }
        ],
    }


@pytest.fixture
def project(admin):
    """A project with four labelled tasks: twelve labels."""
    made = ensure_project(admin, str(uuid.uuid4()), "Scheduled", DEFAULT_DIMENSIONS)
    user = admin.whoami().id
    admin.import_tasks(made.id, [labelled_task(number, user) for number in range(4)])
    return made


@pytest.fixture
def proxy(label_studio):
    with faults.Proxy(label_studio.url) as proxy:
        yield proxy


@pytest.fixture
def schedule(settings, monkeypatch, prefect_api, proxy, label_studio):
    """The module under this test's home and Prefect server, without long waits."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    from flows import schedule

    monkeypatch.setenv("SOLI_HOME", str(settings.home))
    monkeypatch.setenv("LABEL_STUDIO_URL", proxy.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    monkeypatch.setattr(annotation.connection, "PAUSES", (0.01, 0.01))
    for name in ("find", "read"):
        task = getattr(schedule, name)
        monkeypatch.setattr(schedule, name, task.with_options(retry_delay_seconds=[0.1, 0.2, 0.3]))
    with temporary_settings({PREFECT_API_URL: prefect_api, PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield schedule


@pytest.fixture
def last_run(ask, until):
    """Function that returns the newest run of the flow, and its tasks' runs by name."""

    def find():
        flows = {"flows": {"name": {"any_": ["soli-ingest"]}}}
        run = ask("/flow_runs/filter", **flows, sort="START_TIME_DESC", limit=1)[0]
        query = {"flow_runs": {"id": {"any_": [run["id"]]}}}

        def recorded():  # task runs reach the database through a queue
            tasks = ask("/task_runs/filter", **query)
            done = all(task["state_type"] in ("COMPLETED", "FAILED") for task in tasks)
            return {task["name"].rpartition("-")[0]: task for task in tasks} if done else None

        return run, until(recorded, "the tasks' runs")

    return find


def artifact(ask, run):
    query = {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["soli-ingest"]}}
    (found,) = ask("/artifacts/filter", artifacts=query)
    return json.loads(found["data"]), found["description"]


def test_the_artifact_of_a_run_holds_its_counts(schedule, project, admin, ask, last_run):
    schedule.run_once(project.id)
    (page, _), *_ = admin.tasks(project.id)
    first, second = (task["annotations"][0]["id"] for task in page[:2])
    changed = labelled_task(1, 0)["annotations"][0]["result"]  # all three answers are the others
    admin.correct(first, {"result": changed})
    admin.withdraw(second)

    (counts,) = schedule.run_once(project.id)
    run, _ = last_run()
    (row,), words = artifact(ask, run)
    assert row == vars(counts)
    assert (row["project"], row["source"]) == (project.id, project.source)
    assert (row["new"], row["changed"], row["withdrawn"]) == (0, 3, 3)
    assert (row["quarantined"], row["stale"], row["error"]) == (0, 0, None)
    assert 1 <= row["seen"] <= 3  # pulls overlap: what was new a moment ago is read again
    assert row["seconds"] > 0
    assert "0 labels new, 3 changed, 3 withdrawn, 0 quarantined" in words


def test_a_broken_network_is_tried_again_and_the_run_succeeds(
    schedule, project, proxy, last_run, capsys
):
    proxy.strike(faults.says(503), page=1, times=4)  # the client gives up after three
    (counts,) = schedule.run_once(project.id)
    assert counts.new == 12
    run, tasks = last_run()
    assert run["state_type"] == "COMPLETED"
    assert (tasks["read"]["run_count"], tasks["commit"]["run_count"]) == (2, 1)
    assert "answered 503" in capsys.readouterr().err


def test_a_server_that_stays_away_ends_in_a_failed_run_with_one_line(
    schedule, project, proxy, last_run, ask
):
    proxy.strike(faults.says(503), page=1)
    with pytest.raises(AnnotationError, match="503"):
        schedule.run_once(project.id)
    run, tasks = last_run()
    assert tasks["read"]["run_count"] == 4
    assert "commit" not in tasks
    assert (run["state_type"], "503" in run["state"]["message"]) == ("FAILED", True)
    (row,), words = artifact(ask, run)
    assert "503" in row["error"]
    assert "503" in words


def test_a_refused_token_is_not_tried_again_and_never_shown(
    schedule, monkeypatch, last_run, capsys
):
    wrong = "f" * 40
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", wrong)
    with pytest.raises(AnnotationError, match="refuses the token"):
        schedule.run_once()
    run, tasks = last_run()
    assert tasks["find"]["run_count"] == 1
    assert run["state"]["message"].count("\n") == 0
    assert "refuses the token" in run["state"]["message"]
    assert wrong not in json.dumps([run, tasks, *capsys.readouterr()])


def test_a_commit_that_fails_is_not_repeated(schedule, project, monkeypatch, last_run):
    calls = []

    def full_disk(*arguments, **options):
        calls.append(arguments)
        raise StoreError("no space left; make room")

    monkeypatch.setattr(flows.annotate, "commit_pull", full_disk)
    with pytest.raises(StoreError, match="make room"):
        schedule.run_once(project.id)
    run, tasks = last_run()
    assert (len(calls), tasks["commit"]["run_count"]) == (1, 1)
    assert run["state"]["message"] == "no space left; make room"


@pytest.fixture(scope="module")
def deployment(ask, prefect_api, process, until, *, tmp_path_factory, label_studio):
    """A served deployment, as the server knows it; its process is interrupted at the end."""
    folder = tmp_path_factory.mktemp("served")
    command = ("soli", "--home", folder / "home", "flows", "serve", "ingest", "--every", "1h")
    secrets = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.token,
        "PREFECT_API_URL": prefect_api,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "SOLI_LOG_JSON": "true",
    }
    with process(*command, folder=folder, **secrets) as running:
        name = {
            "deployments": {"name": {"any_": ["soli"]}},
            "flows": {"name": {"any_": ["soli-ingest"]}},
        }
        (found,) = until(lambda: ask("/deployments/filter", **name), "the deployment")
        yield found, folder, running, lambda: ask("/deployments/filter", **name)[0]


def done(ask, **which):
    runs = ask("/flow_runs/filter", flow_runs=which)
    ends = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    return [run for run in runs if run["state_type"] in ends]


def test_a_deployment_has_its_schedule_described_parameters_and_no_secret(deployment, label_studio):
    found, *_ = deployment
    (schedule,) = found["schedules"]
    assert schedule["schedule"]["interval"] == 3600
    assert not found["paused"]
    assert found["global_concurrency_limit"]["limit"] == 1
    assert found["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    described = found["parameter_openapi_schema"]["properties"]
    assert set(described) == {"project", "full"}
    assert all(parameter["description"] for parameter in described.values())
    assert label_studio.token not in json.dumps(found)


def test_a_run_asked_for_is_done_in_the_home_that_is_served(
    deployment, ask, until, project, label_studio
):
    found, folder, *_ = deployment
    parameters = {"project": project.id}

    def asked():
        """A run; one at a time goes on, and others are cancelled."""
        made = ask(f"/deployments/{found['id']}/create_flow_run", parameters=parameters)
        (run,) = until(lambda: done(ask, id={"any_": [made["id"]]}), "the run")
        return run if run["state_type"] != "CANCELLED" else None

    run = until(asked, "a run that meets no other")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    (row,), words = artifact(ask, run)
    assert row["new"] == 12
    assert (folder / "home" / "warehouse.duckdb").exists()
    shown = json.dumps([run, row, words, ask("/logs/filter", limit=200)])
    assert label_studio.token not in shown + (folder / "out").read_text()


def test_the_schedule_makes_runs_by_itself(deployment, ask, until):
    """Prefect's scheduler dies of SQLAlchemy 2.1: its bulk insert of runs needs an older one."""
    which = {"deployment_id": {"any_": [deployment[0]["id"]]}}

    def scheduled():
        return [run for run in ask("/flow_runs/filter", flow_runs=which) if run["auto_scheduled"]]

    until(scheduled, "a scheduled run", 15)


def test_an_interrupt_ends_serving_and_pauses_the_schedule(deployment):
    _, folder, running, again = deployment
    running.send_signal(signal.SIGINT)
    assert running.wait(SECONDS) == 0, (folder / "out").read_text()
    assert again()["paused"]


def test_all_that_serving_and_its_runs_said_is_log_lines_without_secrets_people_and_media(
    deployment, label_studio
):
    out = (deployment[1] / "out").read_text()
    lines = [json.loads(line) for line in out.splitlines()]
    assert {"serve.begun", "ingest.pulled", "serve.ended"} <= {line["event"] for line in lines}
    assert lines[-1]["message"] == "stopped; the schedules are paused"
    for private in (label_studio.token, label_studio.username, "clips.example", "soli.invalid"):
        assert private not in out


@pytest.fixture
def without_server(soli, monkeypatch, settings):
    """`soli flows` where no Prefect server is named."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("SOLI_HOME", str(settings.home))
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield lambda *arguments: soli("flows", *arguments)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 1, "no Prefect server, which keeps the schedule; start one"),
        (("--every", "5 bananas"), 2, "no time like"),
        (("--every", "0.0000001s"), 1, "'every 1e-07 s' is no schedule"),
        (("--cron", "every day"), 1, "'every day' is no schedule; give a cron line"),
        (("--every", "5m", "--cron", "* * * * *"), 2, "two schedules"),
    ],
)
def test_what_cannot_be_served_is_said(without_server, arguments, code, words):
    found, _, told = without_server("serve", *arguments)
    assert found == code
    assert words in " ".join(told.split())
