# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs, in
# .venv, with the versions in constraints.txt; the second time it starts at once.

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
PACKAGES := pyproject.toml constraints.txt .ci/venv

.DEFAULT_GOAL := help
.PHONY: help demo test lint types tests slow coverage bench docs dist hooks clean

help:  ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do printf '%-16s %s\n' "$$name" "$$what"; done

demo: $(VENV)/.demo  ## See 200 images made by the fake server (no key, no cost)
	@$(BIN)/nbp demo

test: lint types tests  ## Check style, types and behaviour, in under five minutes

lint: $(VENV)/.dev  ## Check style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev  ## Check types
	$(BIN)/mypy

tests: $(VENV)/.dev  ## Run the tests that are quick
	$(BIN)/pytest -n 3 -m "not slow"

slow: $(VENV)/.dev  ## Run the others: kills, minutes of traffic, official clients, notebooks
	$(BIN)/pytest -n 3 -m slow

coverage: $(VENV)/.dev  ## Run the tests and print how much of nbp_async they reach, in percent
	@rm -rf out/coverage
	@mkdir -p out/coverage
	@$(BIN)/coverage run -m pytest -q -n 3 > out/coverage/log || { cat out/coverage/log; exit 1; }
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --format=total

bench: $(VENV)/.dev  ## Compare sequential, threads, processes and async, in a minute or two
	$(BIN)/python -m bench compare --quick

docs: $(VENV)/.dev  ## Build the documentation, guide and reference, into out/docs
	$(BIN)/python .ci/docs out/docs

dist: $(VENV)/.dev  ## Build the wheel and the source archive into dist, and check both
	@rm -rf dist
	@$(BIN)/python .ci/dist dist

hooks: $(VENV)/.dev  ## Check style, types and floors before each commit
	@$(BIN)/pre-commit install

clean:  ## Remove the environment, caches and the demo's images
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis out dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that an environment has what its target needs. The group of developers' tools
# holds what the demo needs, so one of them stamps both. Debian's pip knows no groups: it is
# brought to the pinned version first.
$(VENV)/.demo: $(PACKAGES)
	@echo "Setting up $(VENV) ..."
	@.ci/venv $(VENV)
	@$(INSTALL) pip
	@$(INSTALL) --build-constraint constraints.txt -e '.[cli]'
	@touch $@

$(VENV)/.dev: $(PACKAGES)
	@echo "Setting up $(VENV) with developers' tools ..."
	@.ci/venv $(VENV)
	@$(INSTALL) pip
	@$(INSTALL) --build-constraint constraints.txt --group dev -e .
	@touch $(VENV)/.demo $@
