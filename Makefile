# The two commands of the README: `make study` and `make test`. Both set themselves up.
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Nothing is fetched at run time.
export HF_HUB_OFFLINE := 1

.PHONY: study test lint types layers tests bench docs clean

study: $(VENV)/.installed
	$(BIN)/goniometer study examples/arithmetic.yaml

test: lint types layers tests

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports --no-logo

tests: $(VENV)/.installed-dev
	sh scripts/setup_chromium.sh
	sh scripts/setup_bubblewrap.sh || echo "no bubblewrap here: the tests of the sandbox are skipped"
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

# The site of docs/: warnings are errors, every link and anchor is checked, nothing is fetched.
docs: $(VENV)/.installed-docs
	rm -rf build/docs
	$(BIN)/zensical build --strict --clean --config-file mkdocs.yml
	$(BIN)/python scripts/check_site.py build/docs

# Each alone: beside another busy process no timing means anything.
bench: $(VENV)/.installed-dev
	$(BIN)/python bench/compare.py --breakdown
	$(BIN)/python bench/many.py
	$(BIN)/python bench/callback.py
	$(BIN)/python bench/cost.py
	$(BIN)/python bench/peers.py
	$(BIN)/python bench/train.py
	$(BIN)/python bench/sample.py
	$(BIN)/python bench/connectivity.py
	$(BIN)/python bench/cka.py --layers 30

# pip before 25.1 knows no dependency groups. torch goes first, so that nothing picks another build.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@

# The API pages are read from the sources, so that this needs neither torch nor the package.
$(VENV)/.installed-docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	touch $@

clean:
	rm -rf $(VENV) runs build dist .cache
