"""Who is answered: forged hosts, methods, sites and tokens."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from flows.web.guard import HEADERS, own_names

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("web")]  # one page for all


def raw(url, *lines):
    """Status of a request written by hand."""
    place = urlsplit(str(url))
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
        "127.0.0.1@evil.example", "evil.example#localhost", "localhost.", "127.0.0.2", "0.0.0.0",
        "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1].evil.example", "", " ", "localhost:x",
        "localhost:80:80", "löcalhost", "null",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/media?item=hostile", "/static/style.css"])
def test_another_host_is_refused(site, host, path):
    assert raw(site.base_url, f"GET {path} HTTP/1.1", f"Host: {host}")[0] in {400, 403}


def test_no_host_two_hosts_and_a_host_in_the_target_are_refused(site):
    url = site.base_url
    assert raw(url, "GET / HTTP/1.0")[0] == 403
    assert raw(url, "GET / HTTP/1.1", "Host: localhost", "Host: evil.example")[0] in {400, 403}
    assert raw(url, "GET http://localhost/ HTTP/1.1", "Host: evil.example")[0] == 403
    forwarded = ("X-Forwarded-Host: localhost", "Forwarded: host=localhost")
    assert raw(url, "GET / HTTP/1.1", "Host: evil.example", *forwarded)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:65535", "[::1]:8000"])
def test_names_of_loopback_are_answered_whatever_the_port(site, host):
    assert raw(site.base_url, "GET / HTTP/1.1", f"Host: {host}")[0] == 200


@pytest.mark.parametrize(
    ("server", "names"),
    [
        ("192.0.2.5", {"192.0.2.5"}), ("2001:db8::5", {"[2001:db8::5]"}),
        ("::ffff:192.0.2.5", {"192.0.2.5"}), ("::1", {"[::1]", "localhost", "127.0.0.1"}),
    ],
)  # fmt: skip
def test_an_address_is_its_own_name(server, names):
    assert own_names({"server": (server, 80)}) == names


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_written(site, method):
    assert site.request(method, "/").status_code == 405
    assert site.request(method, "/login").status_code == 405


@pytest.mark.parametrize("origin", ["cross-site", "same-site"])
def test_another_site_may_link_here_and_no_more(site, origin):
    headers = {"Sec-Fetch-Site": origin, "Sec-Fetch-Mode": "no-cors"}
    assert site.get("/media?item=hostile", headers=headers).status_code == 403
    assert site.get("/", headers={**headers, "Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/items?page=0", "/media?item=hostile", "/static/page.js"]
)
def test_every_answer_carries_the_policy(site, path):
    headers = site.get(path).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers
    refused = raw(site.base_url, f"GET {path} HTTP/1.1", "Host: evil.example")[1].decode()
    assert "default-src 'none'" in refused


def test_elsewhere_a_token_is_asked_for_and_a_forged_one_refused(guarded):
    url, token = guarded
    for path in ("/", "/items", "/item?id=hostile", "/media?item=hostile", "/query/annotators"):
        assert httpx.get(url + path.removeprefix("/")).status_code == 401
    forged = [
        {"Authorization": "Bearer nonsense"}, {"Authorization": f"Basic {token}"},
        {"Authorization": "Bearer"}, {"Authorization": f"Bearer {token}x"},
        {"Authorization": f"Bearer {token[:-1]}"},
        {"Cookie": f"soli-{urlsplit(url).port}={token}"}, {"Cookie": f"soli={token}"},
        {"Cookie": f"soli-{urlsplit(url).port}="}, {"Cookie": "\x7f=;;"},
    ]  # fmt: skip
    assert [httpx.get(url, headers=headers).status_code for headers in forged] == [401] * 9
    assert httpx.get(url, params={"token": token}).status_code == 401
    assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    known = {"Authorization": f"Bearer {token}", "Host": "evil.example"}
    assert httpx.get(url, headers=known).status_code == 403


def test_a_token_is_changed_into_a_cookie_that_no_script_reads(guarded):
    url, token = guarded
    with httpx.Client(base_url=url) as client:
        for wrong in ("", "x", token + " x", "é", token[:-1]):
            assert client.post("/login", data={"token": wrong}).status_code == 401
        assert client.post("/login", content=b"token=" + b"a" * 5000).status_code == 413
        assert client.post("/login", content=b"\xff\x00").status_code == 401
        answer = client.post("/login", data={"token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert token not in cookie
        page = client.get("/")
        assert page.status_code == 200
        assert token not in page.text


def test_the_page_that_asks_for_the_token_shows_nothing_else(guarded):
    url, _ = guarded
    text = httpx.get(url).text
    assert 'name="token"' in text
    assert "label events" not in text
    assert httpx.get(url + "static/style.css").status_code == 200


def test_a_home_without_a_token_that_can_be_read_says_so(own_home, capsys):
    from flows.__main__ import run

    home, _ = own_home
    file = home / "web.token"
    file.touch(0o600)
    for text in ("", "short"):
        file.write_text(text)
        assert run(["--home", str(home), "warehouse", "ui", "--token"]) == 1
        assert "remove the file and start again" in capsys.readouterr().err
