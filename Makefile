# Targets: demo, up, test, check, quick, wheels, chaos, hostile, described, records, equality, alerts, pictures, bench, docs,
# second-opinion. Each installs what it needs into VENV first; another Python has one of its own: make check PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo up test check quick wheels chaos hostile described records equality alerts pictures bench docs second-opinion install

demo: $(VENV)/installed
	$(BIN)/audience demo

up: $(VENV)/installed
	$(BIN)/audience up

test: $(VENV)/installed-dev
	$(BIN)/pytest -n 2 --dist loadfile $(if $(MARKED),-m "$(MARKED)")

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 client/audience_client
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin client/audience_client
	$(BIN)/lint-imports
	$(BIN)/lint-imports --config client/pyproject.toml
	$(MAKE) --no-print-directory quick

quick: $(VENV)/installed-dev
	$(BIN)/pytest -m "not kafka" -q -n 2

wheels: $(VENV)/installed-dev
	@$(BIN)/python -m checks.wheels

chaos: $(VENV)/installed
	@$(BIN)/python -m checks.chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(STRAYS),--strays)

hostile: $(VENV)/installed
	@$(BIN)/python -m checks.hostile $(if $(SEED),--seed $(SEED)) $(if $(REQUESTS),--requests $(REQUESTS))

described: $(VENV)/installed-dev
	@$(BIN)/python -m checks.described $(if $(SEED),--seed $(SEED)) $(if $(CASES),--cases $(CASES))

records: $(VENV)/installed
	@$(BIN)/python -m checks.records $(if $(SEED),--seed $(SEED)) $(if $(RECORDS),--records $(RECORDS))

equality: $(VENV)/installed
	@$(BIN)/python -m checks.equality $(if $(SEED),--seed $(SEED)) $(if $(CASES),--cases $(CASES))

alerts: $(VENV)/installed
	@$(BIN)/python -m checks.alerts

pictures: $(VENV)/installed-dev
	@$(BIN)/python -m checks.pictures

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/installed-docs
	$(BIN)/audience errors > docs/errors.md
	$(BIN)/audience platforms > docs/platforms.md
	$(BIN)/audience metrics > docs/metrics.md
	$(BIN)/python -m checks.clients > docs/clients.md
	$(BIN)/python -m checks.settings_page > docs/settings.md
	$(BIN)/sphinx-build -W --keep-going -q -E -b html -d docs/_build/doctrees docs docs/_build/html

second-opinion: $(VENV)/installed
	cd checks/segment && npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts
	$(BIN)/python -m checks.second_opinion

install: $(VENV)/installed-dev

$(VENV)/installed: pyproject.toml client/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e . -e './client[files]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@
