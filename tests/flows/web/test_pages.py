"""What the pages show, against what DuckDB's own program would answer."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin

import duckdb
import httpx
import pytest
from starlette.testclient import TestClient

from flows.web.app import Site, make_app
from flows.web.guard import Door
from warehouse.contracts import STATISTICS
from warehouse.face import publish
from warehouse.questions import names, question
from warehouse.session import Session
from warehouse.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("web")]  # one page for all

PAGES = ["/", "/agreement", "/annotators", "/items", "/disagreements", "/pair-sets", "/models",
         "/disagreements?between=people", "/disagreements?between=model-low&dimension=x",
         *(f"/agreement?statistic={name}" for name in STATISTICS)]  # fmt: skip
NUMBER = re.compile(r'<a class="q[^"]*" href="([^"]+)"[^>]*>([^<]*)</a>')
POINT = re.compile(
    r'<a href="(/query/[^"]+)"[^>]*>\s*(?:<line[^>]*>)?\s*<circle[^>]*><title>.*?: (.*?)<'
)


@pytest.fixture(scope="module")
def crawled(site):
    """Text of every kind of page by address: the lists, and the first three things of each."""
    found = {}
    for path in PAGES:
        found[path] = get(site, path)
    for kind in ("/item?id=clip_", "/annotator?", "/pair-set?"):
        links = sorted({link for text in found.values() for link in inside(text)})
        for link in [link for link in links if link.startswith(kind)][:2]:
            found[link] = get(site, link)
    return found


def inside_of(home, root):
    """Client of a page in this process: a home of its own needs no server of its own."""
    return TestClient(make_app(Site(home, (root,)), Door()), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Client of a page over a home into which nothing was taken yet."""
    home = tmp_path_factory.mktemp("empty")
    publish(Store(home))
    return inside_of(home, home)


def get(site, path, status=200):
    answer = site.get(path)
    assert answer.status_code == status, (path, answer.text)
    return answer.text


def inside(text):
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', text)]


def shown_as(value):
    """Texts under which a number may be shown."""
    if isinstance(value, float):
        return {*(f"{value:.{digits}f}" for digits in range(4)), f"{value * 100:.0f}"}
    if isinstance(value, list):  # decisions of an item
        return {part["label"] for part in value}
    return {f"{value:,}", str(value)}


def test_every_number_is_the_value_of_the_cell_that_it_leads_to(site, media_home, crawled):
    found = [
        pair for page in crawled.values() for pair in NUMBER.findall(page) + POINT.findall(page)
    ]
    numbers = {(*html.unescape(link).split("#"), text) for link, text in found if "#" in link}
    assert len(numbers) > 200
    answers = {}
    with duckdb.connect(str(media_home[0] / "warehouse.duckdb"), read_only=True) as db:
        db.execute("SET TimeZone = 'UTC'")
        for link in {link for link, _, _ in numbers}:
            page = get(site, link)
            (sql,) = re.findall(r'<pre id="sql"[^>]*>(.*?)</pre>', page, re.DOTALL)
            rows = db.sql(html.unescape(sql)).to_arrow_table().to_pylist()
            answers[link] = rows, set(re.findall(r'<td id="([^"]+)">', page))
    for link, cell, text in numbers:
        rows, cells = answers[link]
        place, _, column = cell.partition("-")
        row = rows[int(place)]
        assert cell in cells, (link, cell)
        ends = (row["low"], row["high"]) if " – " in text else (row[column],)
        for part, value in zip(text.split(" – "), ends, strict=True):
            assert part in shown_as(value), (link, cell, text)
    assert {link.split("?")[0].removeprefix("/query/") for link in answers} == set(names()) - {
        "item_clip",  # finds the file
        "items_generators",  # fills a list of choices
        "pair_set",  # texts alone
    }


def test_a_number_without_a_cell_is_none_of_an_empty_answer(crawled):
    bare = {text for page in crawled.values() for link, text in NUMBER.findall(page)
            if "#" not in link}  # fmt: skip
    assert bare <= {"0"}


def test_every_number_in_a_table_is_a_link(crawled):
    cells = [cell for text in crawled.values() for cell in
             re.findall(r'<td class="n">(.*?)(?=<t[dhr]|</t|\n)', text)]  # fmt: skip
    assert len(cells) > 500
    assert [cell for cell in cells if not (cell == "–" or cell.startswith('<a class="q'))] == []


def test_every_link_leads_somewhere(site, crawled):
    links = {urljoin(path, link) for path, text in crawled.items() for link in inside(text)}
    chosen = sorted(links)[:: max(1, len(links) // 20)]
    assert [link for link in chosen if site.get(link).status_code != 200] == []


def test_the_command_beside_the_sql_runs_it_in_a_shell(site, media_home):
    text = get(site, "/query/items_found?search=it's")
    (command,) = re.findall(r'<pre id="command"[^>]*>(.*?)</pre>', text, re.DOTALL)
    command = html.unescape(command)
    face = media_home[0] / "warehouse.duckdb"
    assert command.startswith(f"duckdb -readonly {face} -c '-- Which items")
    assert """lower('"'"'it'"'"''"'"'s'"'"')""" in command


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(crawled):
    for text in crawled.values():
        assert re.findall(r"<script(?![^>]+src=\"/static/)", text) == []
        assert re.findall(r"<[^>]+\s(?:style|on\w+)=", text) == []
        assert (
            re.findall(r"<style|(?:src|href|action)=\"(?:https?:|//|javascript:|data:)", text) == []
        )


def test_nobodys_name_is_shown(crawled, person):
    assert not any(word in text for text in crawled.values() for word in person)


def test_a_prompt_with_html_and_sql_is_text(site, hostile):
    shown = html.escape(hostile).replace("&#x27;", "&#39;")
    listed = get(site, "/items?search=DROP+TABLE")
    assert ">1</a> item" in listed
    for text in (
        listed,
        get(site, "/item?id=hostile"),
        get(site, "/query/item_facts?item=hostile"),
    ):
        assert shown in text
        assert "<script>window" not in text
    assert ">0</a> item" in get(site, "/items?search=';+DELETE+FROM+items;+--")


def test_an_odd_id_is_found_and_opened(site, odd):
    listed = get(site, site.build_request("GET", "/items", params={"search": "100%_E"}).url)
    (link,) = [link for link in inside(listed) if link.startswith("/item?")]
    text = get(site, link)
    assert html.escape(odd).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    media = html.unescape(re.search(r'<video src="([^"]+)"', text)[1])
    assert site.get(media).headers["content-type"] == "video/mp4"


def test_words_of_a_prompt_are_found_in_any_order(site):
    assert ">1</a> item" in get(site, "/items?search=items+table+drop")
    none = get(site, "/items?search=items+table+drip")
    assert ">0</a> item" in none
    assert "No prompt holds all of these words" in none


def test_wildcards_are_letters_of_a_search(site):
    assert ">1</a> item" in get(site, "/items?search=%25_")  # only the odd one holds them
    assert ">0</a> item" in get(site, "/items?search=clip_0_0")


def test_pages_of_a_search_hold_each_item_once(site):
    listed = [
        re.findall(r'href="/item\?id=(clip_\d+)"', get(site, f"/items?search=clip_&page={page}"))
        for page in (1, 2, 3, 4)
    ]
    assert [len(page) for page in listed] == [50, 50, 20, 0]
    assert [item for page in listed for item in page] == [f"clip_{n:06}" for n in range(120)]


def test_labels_of_an_item_are_those_of_the_view(media_home):
    with Session(media_home[0]) as session:
        rows = session.ask(
            "SELECT item_id, count(*) FROM labels GROUP BY item_id ORDER BY 2 DESC, 1"
        )
        for item in rows["item_id"].to_pylist()[:3]:
            ours = session.ask(question("item_labels").sql, {"item": item})
            theirs = session.ask(
                f"SELECT {', '.join(ours.column_names)} FROM labels WHERE item_id = '{item}'"
                " ORDER BY dimension, created_at, annotator_id"
            )
            assert ours.num_rows > 0
            assert ours.equals(theirs)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/item?id=nobody", 404), ("/annotator?id='", 404), ("/pair-set?id=%00", 404),
        ("/query/people", 404), ("/nowhere", 404), ("/docs", 404), ("/openapi.json", 404),
        ("/static/../app.py", 404), ("/static/%2e%2e/app.py", 404), ("/items?page=0", 400),
        ("/items?page=x", 400), ("/query/items_found?page=1;DROP", 400),
        (f"/items?search={'a' * 201}", 400), (f"/query/items_found?search={'a' * 5000}", 400),
        (f"/item?id={'a' * 5000}", 400), ("/query/items_found?page=%D9%A1", 400),
        ("/items?page=%D9%A1", 400), ("/items?page=1000000001", 400), ("/item?id=%FF%FE", 404),
        ("/agreement?statistic=x'", 400), ("/item", 400),
    ],
)  # fmt: skip
def test_a_wrong_address_is_one_sentence(site, path, status):
    text = get(site, path, status)
    assert "Traceback" not in text
    assert re.search(r'<p id="error">[^<]+</p>', text)


def test_a_new_face_is_followed_and_a_writer_never_waits(own_home, table_rows):
    home, root = own_home
    store = Store(home)
    client = inside_of(home, root)
    before = counted(client)
    for number in range(2):
        item = {"item_id": f"new {number}", "prompt_id": "none", "uri": "x.mp4"}
        store.append("items", table_rows("items", [item]))
        publish(store)
        assert counted(client) == before + number + 1
    (home / "warehouse.duckdb").unlink()
    answer = client.get("/")
    assert (answer.status_code, "soli warehouse rebuild" in answer.text) == (503, True)
    publish(store)
    assert counted(client) == before + 2


def test_many_read_while_a_writer_commits(own_home, served, table_rows):
    home, root = own_home
    store = Store(home)
    paths = ["/", "/items?search=clip_00", "/item?id=clip_000001", "/disagreements"]
    with served(home, root) as said, httpx.Client(base_url=said["url"], timeout=60) as client:
        before = counted(client)
        with ThreadPoolExecutor(8) as readers:
            asked = readers.map(lambda number: client.get(paths[number % 4]).status_code, range(40))
            for number in range(5):
                item = {"item_id": f"new {number}", "prompt_id": "none", "uri": "x.mp4"}
                store.append("items", table_rows("items", [item]))
                publish(store)
            assert set(asked) == {200}
        assert counted(client) == before + 5


def test_a_table_that_changed_below_a_face_is_one_sentence(own_home):
    home, root = own_home
    client = inside_of(home, root)
    for file in (home / "tables" / "prompts").glob("*.parquet"):
        file.rename(file.with_suffix(".gone"))
    answer = client.get("/items")
    assert (answer.status_code, "rebuild" in answer.text) == (503, True)
    assert "Traceback" not in answer.text
    assert client.get("/annotators").status_code == 200


@pytest.mark.parametrize("path", [path for path in PAGES if "kappa" not in path])
def test_a_page_of_an_empty_warehouse_shows_no_number(empty, path):
    text = get(empty, path)
    assert "<h1>" in text
    assert re.findall(r'<td class="n">', text) == []


def counted(client):
    (number,) = re.findall(r">([\d,]+)</a></b><span>items<", client.get("/").text)
    return int(number.replace(",", ""))


def test_without_a_face_the_command_says_what_to_do(tmp_path, capsys):
    from flows.__main__ import run

    assert run(["--home", str(tmp_path / "none"), "warehouse", "ui"]) == 1
    assert "soli ingest" in capsys.readouterr().err


def test_an_address_that_cannot_be_listened_on_is_one_line(media_home, capsys):
    from flows.__main__ import run

    command = ["--home", str(media_home[0]), "warehouse", "ui", "--host", "no such host"]
    assert run(command) == 1
    error = capsys.readouterr().err
    assert "nobody can listen on no such host" in error
    assert error.count("\n") == 1


def test_disagreements_are_of_the_first_dimension_unless_another_or_every_one_is_asked_for(site):
    def shown(**values):
        text = site.get("/disagreements", params={"between": "people", **values}).text
        return set(
            re.findall(r"<p>(Physical plausibility|Semantic alignment|Subject deformity):", text)
        )

    assert shown() == {"Physical plausibility"}
    assert shown(dimension="subject_deformity") == {"Subject deformity"}
    assert len(shown(dimension="every")) > 1
