# Each target sets up what it needs by itself: a virtual environment with pinned
# dependencies (.venv), and one of its own for the Label Studio server.

PYTHON ?= python3
SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/.installed
SERVER := .venv-labelstudio/.installed
TEMPLATE := .cache/labelstudio-template/.ready
BENCHMARKS := agreement intervals dawid_skene pairs pair_build pair_stream item_encodings export labels_view pull trace video_input web step spark doctor serve
TESTS ?=
DEMO ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: help demo test quick check fix docs bench soak chromium lock clean

help:
	@echo 'make demo    the whole story on this machine: people judge clips, a reward model learns'
	@echo 'make test    check, then every test (real server, real browser, tiny demo)'
	@echo 'make quick   the quick tests: no server, no browser, no demo, a second each at most'
	@echo 'make check   ruff, strict types, architecture'
	@echo 'make fix     format, and mend what ruff can mend'
	@echo 'make docs    write docs/reference from the contracts and the commands'
	@echo 'make bench   baselines and ours in turn, with the ratio'
	@echo 'make soak    is anything lost in 250 kills; do intervals, gates and flags err as stated? (hours)'

demo: $(READY) $(SERVER) $(TEMPLATE)
	@$(BIN)/soli demo $(DEMO)

test: check $(SERVER) $(TEMPLATE) chromium
	$(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart 0 $(TESTS)

quick: $(READY)
	$(BIN)/python -m pytest -n 2 -m 'not server and not browser and not slow' $(TESTS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python -m flows.reference

bench: $(READY) $(SERVER) $(TEMPLATE)
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python -m benchmarks.$$script || exit 1; done

soak: $(READY) $(SERVER) $(TEMPLATE)
	@$(BIN)/python -m soak.kills --kills 200 --write
	@$(BIN)/python -m soak.pair_kills --kills 50 --write
	@$(BIN)/python -m pytest -n 0 --hypothesis-profile=soak tests/flows/test_ledger.py -k naive
	@$(BIN)/python -m soak.coverage
	@$(BIN)/python -m soak.gate_errors
	@$(BIN)/python -m soak.annotator_flags --write
	@$(BIN)/python -m soak.suitability --write
	@$(BIN)/python -m soak.canaries --write
	@$(BIN)/python -m soak.active_order --write
	@$(BIN)/python -m soak.paper_scale
	@$(BIN)/python -m soak.zero --write

# As root on Debian the browser is installed; elsewhere one line says how, and nothing fails.
chromium:
	@if [ -n "$$SOLI_CHROMIUM" ] || command -v chromium >/dev/null; then true; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  (apt-get update -qq && apt-get install -y -qq chromium) >/dev/null 2>&1 \
	    || echo 'chromium could not be installed: the browser tests will say so'; \
	else echo 'no chromium: install it, or point SOLI_CHROMIUM at one, to run the browser tests'; fi

$(READY): pyproject.toml constraints.txt
	@echo 'setting up .venv (about 1.5 GB to download, three to six minutes)'
	@$(PYTHON) -c 'import sys; v = sys.version_info; assert v >= (3, 11), f"Soli needs Python 3.11 or newer, this is {v.major}.{v.minor}; set PYTHON="'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

$(SERVER): constraints-labelstudio.txt
	@echo 'setting up .venv-labelstudio (about 300 MB to download, one to two minutes)'
	@$(PYTHON) -m venv .venv-labelstudio
	@.venv-labelstudio/bin/python -m pip install --quiet -c constraints-labelstudio.txt label-studio
	@touch $@

$(TEMPLATE): $(READY) $(SERVER)
	@echo 'preparing an empty Label Studio database (once, about half a minute)'
	@$(BIN)/python -m annotation.server --template .cache/labelstudio-template \
	  --binary .venv-labelstudio/bin/label-studio
	@touch $@

lock: $(READY) $(SERVER)
	@{ echo '# What `make` installs, to the last digit; written by `make lock`.'; \
	  $(BIN)/python -m pip freeze --exclude-editable --exclude soli | sed 's/+cpu$$//'; } > constraints.txt
	@{ echo '# The Label Studio server, in an environment of its own: it wants an older pyarrow'; \
	  echo '# and redis than ours. Written by `make lock`.'; \
	  .venv-labelstudio/bin/python -m pip freeze; } > constraints-labelstudio.txt

clean:
	rm -rf .venv .venv-labelstudio .cache .soli
