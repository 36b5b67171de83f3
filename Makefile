# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Sample clips beside the checkout, where they exist; else a clip is rendered.
VIDEOS ?= $(wildcard ../shared/data/videos/test)

.PHONY: demo test slow lint types check bench gpu-train clean

demo: $(VENV)/installed
	rm -rf out/demo
	$(BIN)/tapirus demo $(VIDEOS) -o out/demo
	@echo "== animate animate/assets/photo.jpg"
	$(BIN)/animate animate/assets/photo.jpg -o out/demo/photo.mp4 --sheet out/demo/photo_sheet.png

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

# Training on a machine with torch, numpy, pillow and opencv alone: no .venv, no network. Packs the
# pictures of PHOTOS and OBJECTS first where TEXTURES is not there yet. Given again it goes on from
# the checkpoint in OUT. docs/training.md
CONFIG ?= pipelines/training/configs/tapir-mini-gpu.toml
TEXTURES ?= out/textures.npz
OUT ?= out/gpu
gpu-train: $(TEXTURES)
	$(PYTHON) -m pipelines.training.run --config $(CONFIG) --textures $(TEXTURES) --out $(OUT) \
		$(if $(START),--start $(START)) $(if $(RESUME),--resume $(RESUME)) \
		$(if $(REAL),--real $(REAL)) $(if $(MINUTES),--minutes $(MINUTES))

$(TEXTURES):
	@test -n "$(PHOTOS)" || { echo "no $@: give PHOTOS (and OBJECTS) to pack, or TEXTURES"; exit 2; }
	$(PYTHON) -m pipelines.training.pack --photos $(PHOTOS) $(if $(OBJECTS),--objects $(OBJECTS)) \
		-o $@ --limit-mib 55

# The torch pin stands in the same command as everything else: it picks the CPU build where the
# index has one, and keeps a plain `torch` from bringing gigabytes of CUDA libraries.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0 -e '.[dev]' -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) out build .mypy_cache .pytest_cache .ruff_cache
