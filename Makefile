# Targets: demo, up, test, check, bench. Each installs what it needs into .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo up test check bench install

demo: .venv/installed
	$(BIN)/audience demo

up: .venv/installed
	$(BIN)/audience up

test: .venv/installed-dev
	$(BIN)/pytest

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not kafka" -q

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks

install: .venv/installed-dev

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
