# Everything works on a machine that has make and Python 3.11 or newer; nothing is installed outside $(VENV).

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
# The declared stack: what the example project needs and the tests may use.
EXTRAS := postgres,api,celery,beat,prometheus
ARGS ?=

# Tests start hundreds of processes, each of which would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-sqlite test-postgres mutations lint format types imports migrations docs code-map package check bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/.installed ## Make the virtual environment (again only when pyproject.toml has changed)

demo: venv ## Start the example site, a worker and fake services, and carry some sagas; Ctrl-C stops them
	$(BIN)/python -m example_project.demo $(ARGS)

test: venv ## Run all tests on SQLite, then on PostgreSQL (DATABASE_URL, else one from a wheel); ARGS="-k name"
	@failed=; \
	for database in sqlite postgres; do \
		echo "== tests on $$database"; \
		SAGA_TEST_DATABASE=$$database $(BIN)/python -m pytest $(ARGS) || failed="$$failed $$database"; \
	done; \
	if [ -n "$$failed" ]; then echo "Tests failed on:$$failed"; exit 1; fi

test-sqlite: venv ## Run all tests on SQLite only
	SAGA_TEST_DATABASE=sqlite $(BIN)/python -m pytest $(ARGS)

test-postgres: venv ## Run all tests on PostgreSQL only
	SAGA_TEST_DATABASE=postgres $(BIN)/python -m pytest $(ARGS)

mutations: venv ## Break the engine in known ways and show that a test notices each; ARGS="M1 M13"
	$(BIN)/python -m tests.mutations $(ARGS)

lint: $(VENV)/.dev ## Check style and formatting (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## Check types (mypy, strict)
	$(BIN)/mypy

imports: $(VENV)/.dev ## Check that imports go down the floors only
	$(BIN)/lint-imports

migrations: venv ## Check that no migration is missing
	$(BIN)/python -m django makemigrations --check --dry-run --settings=tests.settings

docs: $(VENV)/.dev ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

code-map: venv ## Write docs/explanation/code-map.md afresh from the modules' docstrings
	$(BIN)/python -m tests.repository.code_map

package: $(VENV)/.dev ## Build the wheel and try it in an empty environment
	$(BIN)/python .ci/check_wheel.py

check: lint types imports migrations docs test ## All of the above in one go

bench: venv ## Measure speed on PostgreSQL; ARGS="B1 --runs 5"
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) .tox build dist docs/_build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "django-saga needs Python 3.11 or newer, and none was found as python3.13, python3.12, python3.11 or python3."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; \
		exit 1; \
	fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11 or does not run; name another one: make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --group test
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --group dev
	@touch $@
