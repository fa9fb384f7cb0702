# Two commands: `make demo` and `make test`. Each builds what it needs in .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: demo test bench lint clean

$(VENV)/demo.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/test.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[test]"
	touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	$(PY) -m henderson demo

lint: $(VENV)/test.stamp
	$(PY) -m ruff check src tests benchmarks examples
	$(PY) -m mypy

test: lint
	$(PY) -m pytest

bench: $(VENV)/test.stamp
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(PY) -m benchmarks

clean:
	rm -rf $(VENV)
