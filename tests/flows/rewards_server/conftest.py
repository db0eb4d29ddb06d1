"""A server's parts with a model that is a function, and a client that needs no socket."""

import asyncio
import hashlib
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

from flows.listening import Connection, listen, url_of
from flows.rewards_server.app import make_app
from flows.rewards_server.guard import rules_for
from flows.rewards_server.rewards import Rewarder
from flows.rewards_server.stored import Stored
from flows.rewards_server.worker import Worker
from training.reference import Reference
from warehouse.errors import TrainingError
from warehouse.identity import prompt_id

DATA = Path(__file__).parents[2] / "data"
DIMENSIONS = ("motion", "shape")
MODEL = "0123456789abcdef" * 4


class Model:
    """Rewards by the length of path and prompt; counts what it decodes."""

    def __init__(self):
        self.decoded = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, path, prompts):
        self.may_go_on.wait(10)
        self.decoded.append((path, tuple(prompts)))
        if path.endswith("bad.mp4"):
            raise TrainingError(f"video {path} cannot be decoded; it is cut, damaged or no video")
        if path.endswith("crash.mp4"):
            raise RuntimeError("a decoder's own bug")
        return {prompt: (float(len(prompt)), 1.0) for prompt in prompts}


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def media(tmp_path):
    """A media root with a stored clip, new ones, and what is no clip."""
    root = tmp_path / "media"
    root.mkdir()
    for name in ("stored.mp4", "new.mp4", "other.mp4", "bad.mp4", "crash.mp4"):
        shutil.copy(next((DATA / "videos").glob("*.mp4")), root / name)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    return root


@pytest.fixture
def stored(media):
    """Two items: one of them is the file stored.mp4 under the prompt `a ball`."""
    path = str(media / "stored.mp4")
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return Stored(
        MODEL,
        DIMENSIONS,
        np.array([[1.0, 2.0], [-3.0, 0.5]]),
        {"v1": 0, 'v"2\n🎈': 1},
        {(path, prompt_id("a ball")): 0},
        [digest, None],
    )


@pytest.fixture
def reference():
    return Reference.build(MODEL, "validation", {key: [0.0, 2.0] for key in DIMENSIONS})


@pytest.fixture
def make(media, stored, reference, model):
    """A client of an app: call it with options of the rewarder and of the rules."""
    workers = []

    def build(*, scoring=True, score=model, seconds=20.0, places=256, token=None, rules=None):
        worker = Worker(score, places=places) if scoring else None
        workers.extend([worker] if worker else [])
        rewarder = Rewarder((media,), worker, DIMENSIONS, reference, seconds)
        return Client(
            make_app(rewarder, lambda: stored, rules or rules_for("127.0.0.1", (), token))
        )

    yield build
    for worker in workers:
        worker.close()


@pytest.fixture
def served():
    """Function that serves an app on a socket of its own, for a block, and says its URL."""

    @contextmanager
    def serve(app):
        listening = listen("127.0.0.1", 0)
        config = uvicorn.Config(app, http=Connection, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join(10)
            listening.close()

    return serve


class Client:
    """Requests to an app, one at a time or together."""

    def __init__(self, app):
        self.app = app

    def ask(self, *requests):
        """Answers of (method, path, fields of httpx), sent at the same time."""

        async def all_of_them():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8090", timeout=60
            ) as client:
                return await asyncio.gather(
                    *(client.request(method, path, **more) for method, path, more in requests)
                )

        return asyncio.run(all_of_them())

    def post(self, path, json=None, **more):
        fields = {"json": json, **more} if json is not None else more
        return self.ask(("POST", path, fields))[0]

    def get(self, path, **more):
        return self.ask(("GET", path, more))[0]

    def rewards(self, *items):
        return self.post("/rewards", {"items": list(items)})
