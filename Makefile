# Everything a fresh machine needs is behind `make run` and `make test`; a second call installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test lint site serve bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## Train on drawn shapes for about a minute, then build the site
	$(BIN)/python -m labml_nn.conv_mixer.experiment dataset=shapes
	$(BIN)/python build_docs.py --out build/site
	@echo
	@echo "Open build/site/index.html in a browser, or run 'make serve' to edit with live reload."

test: $(VENV)/.tested $(VENV)/.browser ## Run every test, the linter and the type checker
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.tested ## Format, lint and check types
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

site: $(VENV)/.installed ## Render labml_nn/ and sidebyside/ into docs/
	$(BIN)/python build_docs.py

serve: $(VENV)/.installed ## Preview the site and reload it on every save
	$(BIN)/python build_docs.py serve

bench: $(VENV)/.tested ## Measure ours against others: speed of the build, of training and of inference
	$(BIN)/pip install -q -e '.[test,bench]'
	for name in train_step inference epoch augmentation depth_wise renderer; do \
		$(BIN)/python benchmarks/$$name.py || exit 1; done

clean: ## Remove what was built; the environment stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv is missing (Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install -q --upgrade pip

$(VENV)/.installed: pyproject.toml setup.py | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install -q -e '.[test]'
	@touch $@

# The distribution's Chromium where there is one, else Playwright's, else the distribution's package.
$(VENV)/.browser: $(VENV)/.tested
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		$(BIN)/python -m playwright install --with-deps chromium || \
		{ [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } || \
		{ echo "The browser tests need Chromium: install your system's package and run 'make test' again"; exit 1; }
	@touch $@
