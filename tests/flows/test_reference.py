"""The reference pages say what the contracts and the commands say."""

import re

import duckdb
import pytest

from flows.reference import FOLDER, PAGES, commands, write
from warehouse.contracts import TABLES
from warehouse.face import publish
from warehouse.store import Store
from warehouse.views import VIEWS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_make_docs_writes_it(name):
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), f"docs/reference/{name} is stale: run `make docs`"


def test_make_docs_writes_every_page_and_nothing_else(tmp_path):
    write(tmp_path / "new" / "reference")
    assert {path.name for path in (tmp_path / "new" / "reference").iterdir()} == set(PAGES)


@pytest.fixture(scope="module")
def sections():
    """Title -> rows of its table, of the data dictionary."""
    page = PAGES["data_dictionary.md"]()
    found = re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, flags=re.MULTILINE | re.DOTALL)
    return dict(found)


def test_every_table_and_view_has_a_section_in_the_order_of_the_contracts(sections):
    assert list(sections) == [*TABLES, *VIEWS]


@pytest.mark.slow
def test_the_columns_and_types_are_those_of_the_reading_face(sections, tmp_path):
    store = Store(tmp_path / "home")
    publish(store)
    with duckdb.connect(str(store.home / "warehouse.duckdb"), read_only=True) as db:
        for name in (*(t for t, table in TABLES.items() if not table.private), *VIEWS):
            there = [row[0] for row in db.execute(f"DESCRIBE {name}").fetchall()]
            assert re.findall(r"^\| `(\w+)`", sections[name], flags=re.MULTILINE) == there


def test_a_column_is_shown_with_all_that_its_contract_says(sections):
    row = next(line for line in sections["items"].splitlines() if "`width`" in line)
    assert row == "| `width` | INTEGER | yes |  | content | pixels; always `width > 0` |"
    row = next(line for line in sections["items"].splitlines() if "`item_id`" in line)
    assert row == "| `item_id` | VARCHAR |  | yes | content | the generated video |"


def test_a_command_is_shown_with_options_defaults_and_examples():
    (section,) = re.findall(
        r"^## soli annotate queue\n(.*?)(?=^## )", commands(), re.MULTILINE | re.DOTALL
    )
    assert "| `--limit <int range>` | At most so many items. | default: 20; x>=1 |" in section
    assert "```sh\nsoli annotate queue\n" in section
    assert "\b" not in commands()
