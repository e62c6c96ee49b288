# `make demo` and `make test` work from a bare clone: each first sets up .venv (uv if it is there, else pip).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(shell command -v uv 2>/dev/null)

# uv does not read pip's variable for a folder of wheels
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

.PHONY: help demo test lint clean

help:
	@echo "make demo   depth, all-in-focus picture and alignment report of a small focal stack, into demo/"
	@echo "make test   linters, types, import directions, then all tests"
	@echo "make lint   the same without the tests"
	@echo "make clean  remove .venv, caches and demo/"

$(READY): pyproject.toml constraints.txt
ifdef UV
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install --python $(BIN)/python -c constraints.txt -e ".[test]"
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
endif
	@touch $@

demo: $(READY)
	$(BIN)/dff demo --out demo --overwrite

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
