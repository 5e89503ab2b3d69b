# Two commands matter: `make demo` shows the whole pipeline, `make test` proves it. Both set everything up themselves.
#
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"    smaller download: torch for CPU only

PYTHON   ?= python3
PIP_ARGS ?=
VENV     := .venv
BIN      := $(VENV)/bin
PIP      := $(BIN)/python -m pip --disable-pip-version-check -qq install $(PIP_ARGS) -c constraints.txt
C_FILES   = $(shell find firmware_stubs -name '*.[ch]' 2>/dev/null)

.PHONY: demo test test-full proof lint bench zoo clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo
	$(BIN)/edgebat run export/recipes/demo.yaml

test: lint
	$(MAKE) --no-print-directory -C firmware_stubs test
	$(BIN)/python -m pytest -q -n 2

# The same tests with full sample counts.
test-full: lint
	$(MAKE) --no-print-directory -C firmware_stubs test
	EDGEBAT_TEST_SCALE=full $(BIN)/python -m pytest -q -n 2

# No overflow, no division by zero, no access outside its memory in the estimator's C: docs/proof.md. Minutes; needs Frama-C.
proof: $(VENV)/.dev
	$(BIN)/python -m bench.proof

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(C_FILES)

bench: $(VENV)/.dev
	$(BIN)/python -m pytest -q bench --benchmark-only

# The ready students, trained anew on a corpus (hours) and put into export/zoo/students: make zoo CORPUS=PATH
zoo_add = $(BIN)/edgebat zoo add runs/$(1) $(2) $(3) --corpus $(CORPUS)

zoo: $(VENV)/.dev
	$(BIN)/edgebat run demo
	for kind in mlp cnn lstm; do $(BIN)/edgebat zoo add runs/demo $$kind demo-$$kind || exit; done
	for recipe in zoo-health-small zoo-health-medium zoo-health zoo-health-any forecast-students zoo-life; do $(BIN)/edgebat run $$recipe --corpus $(CORPUS) || exit; done
	$(call zoo_add,zoo-health-small,mlp,health-mlp-small)
	$(call zoo_add,zoo-health-small,cnn_alone,health-cnn-small)
	$(call zoo_add,zoo-health-small,lstm_alone,health-lstm-small)
	$(call zoo_add,zoo-health-medium,mlp_alone,health-mlp-medium)
	$(call zoo_add,zoo-health,lstm_alone,health-lstm-best)
	$(call zoo_add,zoo-health-any,gru_alone,health-any-window)
	$(call zoo_add,forecast-students,lstm,forecast-lstm-small)
	$(call zoo_add,forecast-students,mlp,forecast-mlp-medium)
	$(call zoo_add,forecast-students,cnn_alone,forecast-cnn-best)
	$(call zoo_add,zoo-life,lstm,life-lstm-small)
	$(call zoo_add,zoo-life,cnn,life-cnn-medium)
	$(call zoo_add,zoo-life,mlp,life-mlp-best)

clean:
	rm -rf build dist runs .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks

# A stamp remembers that an installation is complete; it is redone when the requirements change.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing what the demo needs into $(VENV) (about a minute) ..."
	$(PIP) -e ".[cli,data,train,onnx,tflite,sim,report]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing what the tests need into $(VENV) (about a minute) ..."
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.demo
