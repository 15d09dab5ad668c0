# Two commands matter: `make demo` and `make test`. Each does its own set-up in a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test lint docs results-quick clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	touch $@

demo: $(STAMP)
	$(BIN)/ostinato run --model cifarnet --data digits --board stm32f469i --out runs/demo

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --hypothesis-profile=ci

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/mkdocs build --strict

# A reduced version of docs/results/README.md; DATA has cifar10/, ood/ and tinyimagenet30/ in it.
DATA ?= $(or $(OSTINATO_DATA),data)
results-quick: $(STAMP)
	$(BIN)/python benchmarks/papers/everything.py --quick --data-root $(DATA)

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
