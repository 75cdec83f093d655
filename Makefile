# Targets: demo, up, test, check, chaos, hostile, records, bench, docs, second-opinion. Each installs what it needs into .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo up test check chaos hostile records bench docs second-opinion install

demo: .venv/installed
	$(BIN)/audience demo

up: .venv/installed
	$(BIN)/audience up

test: .venv/installed-dev
	$(BIN)/pytest -n 2 --dist loadfile

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not kafka" -q -n 2

chaos: .venv/installed
	@$(BIN)/python -m checks.chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

hostile: .venv/installed
	@$(BIN)/python -m checks.hostile $(if $(SEED),--seed $(SEED)) $(if $(REQUESTS),--requests $(REQUESTS))

records: .venv/installed
	@$(BIN)/python -m checks.records $(if $(SEED),--seed $(SEED)) $(if $(RECORDS),--records $(RECORDS))

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks

docs: .venv/installed
	$(BIN)/audience errors > docs/errors.md
	$(BIN)/python -m checks.clients > docs/clients.md

second-opinion: .venv/installed
	cd checks/segment && npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts
	$(BIN)/python -m checks.second_opinion

install: .venv/installed-dev

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-dev: .venv/installed
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
