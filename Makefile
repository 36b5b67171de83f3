# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Sample clips beside the checkout, where they exist; else a clip is rendered.
VIDEOS ?= $(wildcard ../shared/data/videos/test)

.PHONY: demo test slow lint types check bench clean

demo: $(VENV)/installed
	rm -rf out/demo
	$(BIN)/tapirus demo $(VIDEOS) -o out/demo

test: $(VENV)/installed
	$(BIN)/pytest

slow: $(VENV)/installed
	$(BIN)/pytest -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

check: lint types test

bench: $(VENV)/installed
	$(BIN)/python benchmarks/tracker_speed.py

# The torch pin stands in the same command as everything else: it picks the CPU build where the
# index has one, and keeps a plain `torch` from bringing gigabytes of CUDA libraries.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0 -e '.[dev]' -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) out build .mypy_cache .pytest_cache .ruff_cache
