# One command each, on a machine with nothing but Python 3.11+ and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
HOME_FOLDER ?= ./tallybook-data
WORKERS ?= auto
SENDERS ?= .venv-senders

# The tests of what the numbers rest on: coverage.ini names the modules, which these must go through branch by branch.
COVERING := tests/test_adjusting.py tests/test_book.py tests/test_closing_faults.py \
  tests/test_closing_oracle.py tests/test_job.py tests/test_second_verifier.py tests/test_two_sources.py \
  tests/test_upkeep.py \
  $(patsubst %,tests/unit/test_%.py,change content digest histogram rounds verification vintage)

.PHONY: run demo screenshots test test-acceptance test-engines test-senders test-browser test-slow coverage mutate lint types check bench bench-quick clean

run: $(READY) ## set everything up and serve on http://127.0.0.1:8787
	$(BIN)/tallybook --home $(HOME_FOLDER) serve

demo: $(READY) ## fill ./tallybook-demo with synthetic traffic and show it
	$(BIN)/tallybook --home ./tallybook-demo demo
	$(BIN)/tallybook --home ./tallybook-demo stats last30d

test: $(READY) ## set everything up and run the tests
	$(BIN)/python -m pytest -n $(WORKERS) -m "not acceptance and not engines and not senders and not browser and not slow"

test-acceptance: $(READY) ## the command and real servers, each a process of its own
	$(BIN)/python -m pytest -n $(WORKERS) -m "acceptance and not engines and not slow"

test-engines: $(READY) ## the tests on MariaDB, ClickHouse and Spark; one that is not here is skipped
	for engine in mysql clickhouse spark; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --group $$engine || echo "no driver for $$engine"; done
	$(BIN)/python -m pytest -m engines -rs

test-senders: $(READY) $(SENDERS)/.ready ## LiteLLM and OpenTelemetry, in environments of their own, against a real server
	SENDERS=$(SENDERS) $(BIN)/python -m pytest -n $(WORKERS) -m senders -rs

test-browser: $(READY) ## the page in Chromium; skipped, saying so, where there is none
	$(BIN)/python -m pytest -n $(WORKERS) -m browser -rs

test-slow: $(READY) ## the tests that take minutes: kill -9 again and again, hundreds of histories; prints what it counted
	rm -f .figures
	TALLYBOOK_FIGURES=$(CURDIR)/.figures $(BIN)/python -m pytest -n $(WORKERS) -m slow
	cat .figures

coverage: $(READY) ## branch coverage of closing, chain, reconciling and histograms, which must be whole
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-config=coverage.ini -m "not engines" $(COVERING)

mutate: $(READY) ## changes closing, chain, reconciling and histograms one expression at a time: do tests notice? (an hour)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutation
	$(BIN)/mutmut run
	$(BIN)/mutmut results

screenshots: $(READY) ## takes the README's pictures anew, from demo data, with Chromium
	$(BIN)/python tools/take_screenshots.py docs/pictures

lint: $(READY) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

check: lint types test ## what CI calls

bench: $(READY) ## print the benchmark tables (about 18 minutes); an engine that is not here is left out
	$(BIN)/python -m bench

bench-quick: $(READY) ## the same on a hundredth of the records: does it run?
	$(BIN)/python -m bench --quick

clean: ## remove what the other targets made, but no data
	rm -rf $(VENV) $(SENDERS) .figures mutants build dist .mypy_cache .ruff_cache .hypothesis src/*.egg-info

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tallybook needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $(READY)

$(SENDERS)/.ready: $(wildcard tests/senders/requirements/*.txt)
	for each in $^; do \
	  folder=$(SENDERS)/$$(basename $$each .txt); \
	  $(PYTHON) -m venv $$folder && \
	  $$folder/bin/python -m pip install --quiet --disable-pip-version-check --requirement $$each || exit 1; done
	@touch $@
