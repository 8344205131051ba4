# Each target does all its own set-up: a virtual environment in .venv, with pinned packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A constraint in the environment holds for the build backend too.
INSTALL := PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet

# A server that speaks Azure's storage, for slow tests; they skip where there is no npm.
AZURITE := 3.35.0

# Tests run in two processes; those of a file stay together, for they share what is slow to start.
BESIDE := --numprocesses 2 --dist loadfile

.PHONY: demo test test-slow lint bench clean

demo: $(VENV)/installed-demo  ## make a small photo set and prepare it
	$(BIN)/prep demo

test: $(VENV)/installed-test  ## the tests, in a few minutes
	$(BIN)/python -m pytest $(BESIDE) -m "not slow"

test-slow: $(VENV)/installed-readers $(VENV)/streaming $(VENV)/azurite/$(AZURITE)  ## those that take longer
	$(BIN)/python -m pytest $(BESIDE) -m slow

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-test  ## throughput against the codec limit and the article's script
	$(BIN)/python -m bench

$(VENV)/installed-%: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[$*]'
	touch $@

# MosaicML's Streaming without what it installs for storages and text, which no test needs.
$(VENV)/streaming: $(VENV)/installed-readers
	$(INSTALL) --no-deps mosaicml-streaming
	touch $@

$(VENV)/azurite/$(AZURITE): | $(VENV)/installed-test
	mkdir -p $(@D)
	command -v npm > /dev/null || { echo "no npm: tests of Azure's storage are skipped"; exit 0; }; \
	npm install --silent --no-audit --no-fund --ignore-scripts --omit=dev --omit=optional \
	    --prefix $(@D) azurite@$(AZURITE) && touch $@ \
	    || echo "Azurite could not be installed: tests of Azure's storage are skipped"

clean:
	rm -rf $(VENV) demo
