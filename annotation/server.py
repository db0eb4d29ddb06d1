"""A Label Studio server of our own: started, found again after a crash, and ended.

Everything of a server lies in its home: `data/` (its database and files), `credentials.json`
(0600), `server.pid`, `server.port` (the last one) and `server.log`. It listens on 127.0.0.1 only.

`python -m annotation.server --template DIR --binary BIN` makes the template that later starts copy.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from warehouse.errors import AnnotationError, PlatformError

HOST = "127.0.0.1"
USERNAME = "admin@soli.invalid"  # .invalid: can never be anybody's address
DATABASE = "label_studio.sqlite3"
START_SECONDS = 240.0  # 43 s measured for a fresh database on a busy machine
STOP_SECONDS = 10.0
GONE_SECONDS = 5.0  # without a process this long, a starting server counts as dead
POLL_SECONDS = 0.2
PORT_TRIES = 3
LARGEST_PORT = 65_535
FREED_SECONDS = 3.0  # the kernel closes a killed server's sockets a moment after it looks gone
LOG_LINES = 5

# The server's process writes its own id before it becomes the server: no moment without a record.
# It is a grandchild, so that it lives on without us, and ends without leaving us a zombie.
_RECORD = 'echo $$ > "$1.new" && mv "$1.new" "$1" && shift && exec "$@"'
_LAUNCH = '/bin/sh -c "$0" soli "$@" &'

Progress = Callable[[float], None]


@dataclass(frozen=True)
class LabelStudio:
    """A running server. As a context manager it is stopped at the end."""

    home: Path
    url: str
    pid: int
    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def credentials(self) -> Path:
        """File with name, password and token, readable by its owner alone."""
        return self.home / "credentials.json"

    def stop(self) -> None:
        """End the server; nothing happens where it has ended already."""
        stop(self.home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(
    home: Path,
    binary: Path,
    media_root: Path,
    *,
    port: int | None = None,
    template: Path | None = None,
    progress: Progress = lambda _: None,
    timeout: float = START_SECONDS,
) -> LabelStudio:
    """Start the server of this home, or find the one that a killed session left behind.

    binary: the `label-studio` program of its own environment.
    media_root: folder below which Local storage connections may serve videos.
    port: where None, the one that it had last, so that links go on working; else a free one.
    template: migrated data directory (`prepare_template`); a first start without one takes half a
        minute longer.
    progress: called with the seconds waited, a few times a second.
    Raises: AnnotationError where the program is missing, the port is taken, or the server dies or
        does not answer in time; the last lines of its log are in the message.
    """
    _check(binary, media_root)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(home):
        found = running(home)
        if found and _fits(found, media_root, port) and _healthy(found.url):
            return _remembered(found)
        stop(home)
        _prepare_data(home, binary, template)
        secret = _credentials(home)
        for each in [port] if port else _ports(home):
            _launch(home, binary, media_root, each, secret)
            if _await(home, progress, timeout):
                return _remembered(_required(home))
            stop(home)  # another program has the port, and the server moved to the next
        raise AnnotationError(
            f"Label Studio: port {port or '(any)'} is taken by another program; name a free one or"
            " end that program"
        )


def _check(binary: Path, media_root: Path) -> None:
    if not (binary.is_file() and os.access(binary, os.X_OK)):
        raise AnnotationError(
            f"Label Studio: no program at {binary}; run `make` to install it or set its path"
        )
    if not media_root.is_dir():
        raise AnnotationError(f"media folder {media_root} does not exist; make it first")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One start at a time per home; the lock goes with the process that holds it."""
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare_data(home: Path, binary: Path, template: Path | None) -> None:
    """Data directory, from the template where there is one: made beside its place, then moved."""
    data, partial = home / "data", home / "data.partial"
    if partial.exists():
        shutil.rmtree(partial)
    if data.exists():
        return
    if template is not None and (template / DATABASE).is_file():
        shutil.copytree(template, partial)
    else:
        _migrate(partial, binary)
    with closing(sqlite3.connect(partial / DATABASE)) as database:
        database.execute("PRAGMA journal_mode=WAL")  # stays; 40 annotations a second instead of 28
    partial.rename(data)


def _credentials(home: Path) -> dict[str, str]:
    """Random admin credentials of this home, made at the first start."""
    path = home / "credentials.json"
    if not path.is_file():
        secret = {
            "username": USERNAME,
            "password": secrets.token_urlsafe(18),
            "token": secrets.token_hex(20),
        }
        write_secret(path, secret)
    secret = json.loads(path.read_text(encoding="utf-8"))
    return dict(secret)


def write_secret(path: Path, value: object) -> None:
    """JSON file that only its owner can read, complete or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file)
    partial.replace(path)


def _ports(home: Path) -> Iterator[int]:
    """Ports to try: the one that this home's server had last where it is free, then free ones."""
    try:
        last = int((home / "server.port").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = 0
    if 0 < last <= LARGEST_PORT and _comes_free(last):
        yield last
    for _ in range(PORT_TRIES):
        yield free_port()


def _comes_free(port: int) -> bool:
    """Whether a port is free, or is so within a moment."""
    deadline = time.monotonic() + FREED_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        # As servers do: connections that have just ended do not count, listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _remembered(server: LabelStudio) -> LabelStudio:
    """The same server; its home knows the port from now on."""
    partial = server.home / "server.port.new"
    partial.write_text(server.url.rpartition(":")[2], encoding="utf-8")
    partial.replace(server.home / "server.port")
    return server


def free_port() -> int:
    """Return a TCP port that nobody listens on at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _environment(home: Path, media_root: Path, url: str, secret: dict[str, str]) -> dict[str, str]:
    """Everything the server reads; nothing is inherited."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "LABEL_STUDIO_BASE_DATA_DIR": str(home / "data"),
        "LABEL_STUDIO_HOST": url,
        "LABEL_STUDIO_USERNAME": secret["username"],
        "LABEL_STUDIO_PASSWORD": secret["password"],
        "LABEL_STUDIO_USER_TOKEN": secret["token"],
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        # Without this Label Studio refuses a backend at an address of this machine, where ours
        # (`soli serve`) is. The check keeps people of a shared server from asking local services
        # through it; this one listens on 127.0.0.1 alone (HOST), so who reaches it reaches those
        # anyway. It is set for the server that we start, never asked of another.
        "ML_BLOCK_LOCAL_IP": "false",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(media_root.resolve()),
    }


def _launch(home: Path, binary: Path, media_root: Path, port: int, secret: dict[str, str]) -> None:
    url = f"http://{HOST}:{port}"
    server = [str(binary), "start", "--no-browser", "--internal-host", HOST, "--port", str(port)]
    server += ["--data-dir", str(home / "data")]  # by this we know the process again
    with (home / "server.log").open("ab") as log:
        subprocess.run(
            ["/bin/sh", "-c", _LAUNCH, _RECORD, str(home / "server.pid"), *server],
            env=_environment(home, media_root, url, secret),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl+C in our terminal is ours to handle
            check=True,
        )


def _await(home: Path, progress: Progress, timeout: float) -> bool:
    """True once OUR server answers; False where it listens on another port than asked."""
    begin = seen = time.monotonic()
    while (waited := time.monotonic() - begin) < timeout:
        progress(waited)
        server = running(home)
        if server is None:  # not yet recorded, just becoming the server, or dead
            if time.monotonic() - seen > GONE_SECONDS:
                raise AnnotationError(f"Label Studio ended while starting; {_log_tail(home)}")
        else:
            seen = time.monotonic()
            ports = _listening(server.pid)
            if ports and int(server.url.rpartition(":")[2]) not in ports:
                return False
            if ports and _healthy(server.url):
                return True
        time.sleep(POLL_SECONDS)
    stop(home)
    raise AnnotationError(f"Label Studio did not answer within {timeout:.0f} s; {_log_tail(home)}")


def _log_tail(home: Path) -> str:
    path = home / "server.log"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    tail = " | ".join(line.strip() for line in lines[-LOG_LINES:] if line.strip())
    return f"its log {path} ends: {tail or '(empty)'}"


def _healthy(url: str) -> bool:
    try:
        return (
            httpx.get(f"{url}/health", timeout=5.0, trust_env=False).status_code == httpx.codes.OK
        )
    except httpx.HTTPError:
        return False


def _process(home: Path) -> psutil.Process | None:
    """Server process of this home: recorded id AND command line, since ids are used again."""
    try:
        pid = int((home / "server.pid").read_text(encoding="utf-8"))
        process = psutil.Process(pid)
        command = process.cmdline()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return process if alive and str(home / "data") in command and "--port" in command else None


def _listening(pid: int) -> set[int]:
    try:
        sockets = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {link.laddr.port for link in sockets if link.status == psutil.CONN_LISTEN}


def running(home: Path) -> LabelStudio | None:
    """The live server of this home, whoever started it; None where there is none."""
    process = _process(home)
    path = home / "credentials.json"
    if process is None or not path.is_file():
        return None
    try:
        command = process.cmdline()
        port = int(command[command.index("--port") + 1])
    except (psutil.Error, ValueError, IndexError):
        return None
    secret = json.loads(path.read_text(encoding="utf-8"))
    return LabelStudio(
        home=home,
        url=f"http://{HOST}:{port}",
        pid=process.pid,
        username=secret["username"],
        password=secret["password"],
        token=secret["token"],
    )


def _required(home: Path) -> LabelStudio:
    server = running(home)
    if server is None:
        raise AnnotationError(f"Label Studio ended right after its start; {_log_tail(home)}")
    return server


def _fits(server: LabelStudio, media_root: Path, port: int | None) -> bool:
    """Whether a server found serves what is asked for."""
    try:
        served = psutil.Process(server.pid).environ()["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    except (psutil.Error, KeyError):
        return False
    right_port = port is None or server.url.endswith(f":{port}")
    return served == str(media_root.resolve()) and right_port


def stop(home: Path) -> None:
    """End the server of this home, first asked, then made to."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        process = _process(home)
        if process is None:
            break
        with suppress(psutil.NoSuchProcess):
            end(process)
        _wait_for_end(home)
    (home / "server.pid").unlink(missing_ok=True)


def _wait_for_end(home: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _process(home) is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def prepare_template(folder: Path, binary: Path) -> Path:
    """Make a migrated data directory once; later calls return at once.

    It holds no user, no organisation and no secret key: each server makes its own.
    Raises: AnnotationError where the program is missing or its migrations fail.
    """
    if (folder / DATABASE).is_file():
        return folder
    _check(binary, Path())
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        _migrate(partial, binary)
        _move_into_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _migrate(folder: Path, binary: Path) -> None:
    """Make a migrated database: `label-studio version` migrates and ends, without making a user."""
    folder.mkdir()
    secret = dict.fromkeys(("username", "password", "token"), "")
    done = subprocess.run(
        [str(binary), "version", "--data-dir", str(folder)],
        env={**_environment(folder, folder, "", secret), "LABEL_STUDIO_BASE_DATA_DIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if done.returncode or not (folder / DATABASE).is_file():
        tail = " | ".join((done.stderr or done.stdout).strip().splitlines()[-LOG_LINES:])
        raise AnnotationError(f"Label Studio's migrations failed (exit {done.returncode}): {tail}")
    (folder / ".env").unlink(missing_ok=True)  # its secret key: each server makes its own
    shutil.rmtree(folder / ".config", ignore_errors=True)  # its random id of an installation


def _move_into_place(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / DATABASE).is_file():  # else another process was faster: its one serves
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: make the template. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="annotation.server", description=main.__doc__)
    parser.add_argument("--template", type=Path, required=True, help="folder to make")
    parser.add_argument("--binary", type=Path, required=True, help="the label-studio program")
    given = parser.parse_args(arguments)
    try:
        prepare_template(given.template.absolute(), given.binary.absolute())
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
