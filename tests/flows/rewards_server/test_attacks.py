"""What somebody who means no good sends, over a real socket and to the real decoder."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from flows.listening import listen
from training.video import FramePolicy, read_clip

SECRET = "the content of another file"
PLAYLISTS = {
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
    "remote.mp4": "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "concat.mp4": "ffconcat version 1.0\nfile {secret}\n",
    "dash.mp4": '<?xml version="1.0"?><MPD><BaseURL>file://{secret}</BaseURL></MPD>',
    "page.mp4": "<script>alert(1)</script>",
}


def decode(path, prompts):
    """A model's part that reads a video as all of them do."""
    read_clip(path, FramePolicy(2, 32, 32))
    return dict.fromkeys(prompts, (0.5, 1.0))


@pytest.mark.parametrize("name", PLAYLISTS)
def test_what_poses_as_a_video_is_refused_and_opens_no_other_file(make, media, name):
    secret = media.parent / "secret.txt"
    secret.write_text(SECRET)
    (media / name).write_text(PLAYLISTS[name].format(secret=secret))
    good = {"video_path": "new.mp4", "prompt": "p"}
    answer = make(score=decode).rewards({"video_path": name, "prompt": "p"}, good).json()
    bad, fine = answer["items"]
    assert list(bad) == ["error"]
    assert "cannot be decoded" in bad["error"] or "no video" in bad["error"], bad
    assert SECRET not in bad["error"]
    assert fine["source"] == "scored"


@pytest.mark.parametrize("share", [0, 3])
def test_a_video_that_breaks_off_is_refused(make, media, share):
    whole = (media / "new.mp4").read_bytes()
    (media / "cut.mp4").write_bytes(whole[: share * len(whole) // 10])
    (bad,) = make(score=decode).rewards({"video_path": "cut.mp4", "prompt": "p"}).json()["items"]
    assert list(bad) == ["error"]


def test_no_way_leads_out_of_the_media_folder(make, media, model):
    outside = media.parent / "secret.mp4"
    (media / "folder").symlink_to(media.parent)
    (media / "round").symlink_to(media / "round")
    (media / "chain.mp4").symlink_to(media / "link.mp4")
    ways = (
        str(outside), f"{media}/../secret.mp4", "./.././secret.mp4", "folder/secret.mp4",
        "chain.mp4", "round", "round/a.mp4", "~/secret.mp4", "%2e%2e/secret.mp4",
        "..\\secret.mp4", "/proc/self/environ", "/dev/zero", f"{media}-other/a.mp4",
    )  # fmt: skip
    items = [{"video_path": way, "prompt": "p"} for way in ways]
    answer = make().rewards(*items).json()
    assert answer["failed"] == len(ways)
    assert model.decoded == []


def test_odd_texts_are_texts(make):
    texts = ("\0", "'; DROP TABLE scores; --", "<b>", "🎈" * 900, "\u202e", "{0.__class__}")
    answer = make().rewards(*({"item_id": text} for text in texts))
    assert answer.status_code == 200
    for text, each in zip(texts, answer.json()["items"], strict=True):
        assert repr(text) in each["error"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\xff\x16\x03\x01garbage\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"POST /rewards HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /rewards HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9" + b"9" * 30 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda sent: sent[:40].decode("latin-1").strip(),
)
def test_a_request_that_is_none_gets_a_4xx_and_the_server_lives_on(make, served, sent):
    with served(make().app) as url:
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
            connection.sendall(sent)
            assert connection.recv(1000).startswith(b"HTTP/1.1 4")
        assert httpx.get(f"{url}/health").json()["status"] == "UP"


def test_a_kept_connection_is_answered_without_nagle_s_delay():
    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # what asyncio looks at


def test_forty_clients_at_once_each_get_their_own_answer(make, served, model):
    token = "right" * 5
    paths = ("stored.mp4", "new.mp4", "other.mp4", "../secret.mp4", "bad.mp4")

    def client(number):
        item = {"video_path": paths[number % 5], "prompt": f"p{number % 10}"}
        given = token if number % 4 else "forged"
        answer = httpx.post(
            f"{url}/rewards",
            json={"items": [item, {"item_id": "v1"}]},
            headers={"Authorization": f"Bearer {given}"},
            timeout=30,
        )
        return number, answer

    with served(make(token=token).app) as url, ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(client, range(40)))
    for number, answer in answers:
        if number % 4 == 0:
            assert answer.status_code == 401
            continue
        first, second = answer.json()["items"]
        assert ("error" in first) == (number % 5 > 2)
        assert second["rewards"]["motion"]["reward"] == 1.0
    scored = [each for each in model.decoded if not each[0].endswith("bad.mp4")]
    asked = {(n % 5, f"p{n % 10}") for n in range(40) if n % 4 and n % 5 < 3}
    assert sum(len(prompts) for _, prompts in scored) == len(asked)  # each once
    assert token not in json.dumps([answer.text for _, answer in answers])
