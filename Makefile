# Two commands: `make demo` and `make test`. Each builds what it needs in .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

.PHONY: demo test java ruff lint docs browser oldest fuzz bench wheel clean

demo: $(VENV)/demo.stamp
	@$(PY) -m henderson demo

# mypy is one of the tests: it takes a minute of one core.
test: ruff java
	$(PY) -m pytest --numprocesses auto

# Spark needs Java, which does not come from PyPI.
java:
	@command -v java >/dev/null || test -n "$$JAVA_HOME" || { \
		echo "the tests of Spark need Java 17: apt-get install openjdk-17-jre-headless" >&2; \
		test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || { \
			apt-get update -qq; apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null; }; }

ruff: $(VENV)/test.stamp
	$(PY) -m ruff check src tests benchmarks examples docs

lint: ruff
	$(PY) -m mypy

# The site, in docs/_build/html, made afresh; a warning is an error. (`make test` builds it too, as one of the tests.)
docs: $(VENV)/docs.stamp
	rm -rf docs/_build docs/api/generated docs/pictures_made
	$(PY) -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# The report in Chromium, which does not come from PyPI: apt-get install chromium, or CHROMIUM=/path/to/chrome.
browser: $(VENV)/test.stamp
	$(PIP) -e ".[browser]"
	$(PY) -m pytest tests/browser/report_in_browser.py

# The tests that need neither the site, a cluster nor a browser, with the oldest releases that pyproject.toml allows.
oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --constraint tests/oldest.txt \
		-e ".[plot,io,progress,duckdb,tables,sklearn]" pytest pytest-xdist hypothesis mpmath statsmodels==0.15.0
	.venv-oldest/bin/python -m pytest --numprocesses auto --ignore tests/engine/test_sharded.py \
		$(addprefix tests/,contract covariance \
		design diagnostics doors engine formula inference intervals means numerics oracles planning plots prediction \
		results tables)

# 100,000 random models against dense algebra, about an hour; EXAMPLES=1000 for fewer.
fuzz: $(VENV)/test.stamp
	HYPOTHESIS_PROFILE=fuzz $(PY) -m pytest tests/fuzz

bench: $(VENV)/test.stamp
	$(PIP) -e ".[bench]"
	$(PY) -m benchmarks

# The wheel holds the data sets and has to stay under 3 MB.
wheel: $(VENV)/test.stamp
	rm -rf dist
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist .
	@find dist -name '*.whl' -size +3000k | grep . && { echo "the wheel is over 3 MB" >&2; exit 1; } || ls -l dist

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; say which one to use: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null || { \
		rm -rf $(VENV); echo "no ensurepip here (Debian's python3-venv): using $(PYTHON)'s own pip" >&2; \
		$(PYTHON) -m venv --without-pip $(VENV) \
		&& $(PYTHON) -m pip --quiet --python $(PY) install pip || { rm -rf $(VENV); exit 1; }; }

$(VENV)/demo.stamp: pyproject.toml | $(PY)
	$(PIP) -e .
	touch $@

$(VENV)/test.stamp: pyproject.toml | $(PY)
	$(PIP) -e ".[test]"
	touch $@ $(VENV)/demo.stamp $(VENV)/docs.stamp

$(VENV)/docs.stamp: pyproject.toml | $(PY)
	$(PIP) -e ".[docs]"
	touch $@ $(VENV)/demo.stamp

clean:
	rm -rf $(VENV) .venv-oldest build dist docs/_build docs/api/generated docs/pictures_made
