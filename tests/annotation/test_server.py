import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing

import psutil
import pytest

from annotation import server
from annotation.client import Client
from warehouse.errors import AnnotationError


def program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_missing_program_or_media_folder_is_named(tmp_path):
    with pytest.raises(AnnotationError, match="no program at"):
        server.start(tmp_path / "home", tmp_path / "nowhere", tmp_path)
    with pytest.raises(AnnotationError, match="media folder"):
        server.start(tmp_path / "home", program(tmp_path / "ls", "exit 0"), tmp_path / "nowhere")


@pytest.mark.slow
def test_a_server_that_dies_ends_in_the_last_lines_of_its_log(tmp_path):
    dying = program(tmp_path / "ls", 'echo "database is on fire" >&2; exit 3')
    (tmp_path / "home" / "data").mkdir(parents=True)
    with pytest.raises(AnnotationError, match="database is on fire"):
        server.start(tmp_path / "home", dying, tmp_path)


def test_a_server_that_never_answers_is_ended_after_the_time_allowed(tmp_path):
    silent = program(tmp_path / "ls", "sleep 60 & wait")
    (tmp_path / "home" / "data").mkdir(parents=True)
    waited = []
    with pytest.raises(AnnotationError, match="did not answer within 1 s"):
        server.start(tmp_path / "home", silent, tmp_path, progress=waited.append, timeout=1.0)
    assert waited
    assert waited == sorted(waited)
    assert server.running(tmp_path / "home") is None


def test_migrations_that_fail_leave_no_half_a_template(tmp_path):
    failing = program(tmp_path / "ls", 'echo "no space left" >&2; exit 1')
    with pytest.raises(AnnotationError, match="no space left"):
        server.prepare_template(tmp_path / "template", failing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ls"]


def test_a_stale_record_never_points_at_somebody_elses_process(tmp_path):
    (tmp_path / "server.pid").write_text(str(os.getpid()))
    assert server.running(tmp_path) is None
    server.stop(tmp_path)
    assert psutil.pid_exists(os.getpid())
    assert not (tmp_path / "server.pid").exists()


def test_the_template_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    arguments = ["--template", str(tmp_path / "t"), "--binary", str(tmp_path / "nowhere")]
    assert server.main(arguments) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.server
def test_the_server_is_ours_and_keeps_its_secrets(label_studio):
    mode = stat.S_IMODE(label_studio.credentials.stat().st_mode)
    assert mode == 0o600
    assert label_studio.url.startswith("http://127.0.0.1:")
    shown = f"{label_studio!r}{(label_studio.home / 'server.log').read_text()}"
    command = " ".join(psutil.Process(label_studio.pid).cmdline())
    for secret in (label_studio.password, label_studio.token):
        assert secret not in shown + command
    assert Client(label_studio.url, label_studio.token).whoami().email == label_studio.username


@pytest.mark.server
def test_it_listens_on_this_machine_alone(label_studio):
    sockets = psutil.Process(label_studio.pid).net_connections(kind="tcp")
    listening = {link.laddr.ip for link in sockets if link.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


@pytest.mark.server
def test_the_template_holds_no_user_and_no_secret_key(label_studio_template):
    import sqlite3

    assert not (label_studio_template / ".env").exists()
    with closing(sqlite3.connect(label_studio_template / server.DATABASE)) as database:
        for table in ("htx_user", "organization", "authtoken_token"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.server
def test_a_taken_port_is_told_and_its_owner_left_alone(
    tmp_path, label_studio_binary, label_studio_template
):
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AnnotationError, match=f"port {port} is taken"):
            server.start(
                tmp_path / "home",
                label_studio_binary,
                tmp_path,
                port=port,
                template=label_studio_template,
            )
    assert server.running(tmp_path / "home") is None


def test_the_port_of_last_time_is_tried_first_where_nobody_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "FREED_SECONDS", 0.1)
    last = server.free_port()
    (tmp_path / "server.port").write_text(str(last))
    assert next(server._ports(tmp_path)) == last
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", last))
        other.listen()
        assert last not in list(server._ports(tmp_path))


@pytest.mark.parametrize("written", ["", "no port", "0", "99999", "-1"])
def test_a_port_that_is_none_is_forgotten(tmp_path, written):
    (tmp_path / "server.port").write_text(written)
    ports = list(server._ports(tmp_path))
    assert len(ports) == server.PORT_TRIES
    assert all(1024 <= port <= 65535 for port in ports)


KILLED = """
import os, signal, sys
from pathlib import Path
from annotation import server
home, binary, media, template = map(Path, sys.argv[1:5])
found = server.start(home, binary, media, template=template)
os.kill(found.pid if sys.argv[5] == "server" else os.getpid(), signal.SIGKILL)
"""


@pytest.mark.server
def test_after_kill_9_of_either_side_the_same_home_works_again(
    tmp_path, label_studio_binary, label_studio_template
):
    home = tmp_path / "home"
    places = (home, label_studio_binary, tmp_path, label_studio_template)

    def killed(which):
        command = [sys.executable, "-c", KILLED, *map(str, places), which]
        return subprocess.run(command, check=False, timeout=120).returncode

    assert killed("us") == -signal.SIGKILL
    orphan = server.running(home)
    assert orphan is not None
    with server.start(*places[:3], template=label_studio_template) as found:
        assert found.pid == orphan.pid
        project = Client(found.url, found.token).create_project({"title": "Kept"})
    assert server.running(home) is None
    assert killed("server") == 0
    with server.start(*places[:3], template=label_studio_template) as found:
        assert found.pid != orphan.pid
        assert found.url == orphan.url  # people's links go on working
        assert Client(found.url, found.token).project(project.id).title == "Kept"
        other = tmp_path / "other-media"
        other.mkdir()
        moved = server.start(home, label_studio_binary, other, template=label_studio_template)
        assert moved.pid != found.pid  # another media folder needs another server
        assert not psutil.pid_exists(found.pid)
        assert moved.url == found.url


@pytest.mark.server
def test_a_start_killed_while_waiting_is_taken_up_by_the_next(
    tmp_path, label_studio_binary, label_studio_template
):
    home = tmp_path / "home"
    (home / "data.partial").mkdir(parents=True)  # killed while copying, too
    places = (home, label_studio_binary, tmp_path, label_studio_template)
    command = [sys.executable, "-c", KILLED, *map(str, places), "us"]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not (home / "server.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    with server.start(*places[:3], template=label_studio_template) as found:
        assert Client(found.url, found.token).whoami().email == server.USERNAME
