# The lab's tasks. `make` alone lists them; README.md says what they are for.

PYTHON  ?= python3
VENV    := .venv
LAB     := $(VENV)/bin/lab
PYTEST  := $(VENV)/bin/pytest
CODE    := $(wildcard lab tests topologies playbooks setup.py)
PLAYBOOK := ANSIBLE_CONFIG=playbooks/ansible.cfg LC_ALL=C.UTF-8 $(VENV)/bin/ansible-playbook -i localhost,

.DEFAULT_GOAL := help
.PHONY: help bench setup simulator browser test lint types unit scenario down doctor nightly report scorecard claims clean format

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What a run needs: an emulation the whole, as root; a simulation, which is what other users get
# when they name no engine, only a part of it.
ENGINE_HERE := $(or $(ENGINE),$(if $(filter 0,$(shell id -u)),emulation,simulation))
NEEDED := $(if $(filter simulation,$(ENGINE_HERE)),simulator,setup)

setup: ## install whatever is missing on this machine and in .venv; changes nothing the second time
	@PYTHON="$(PYTHON)" sh playbooks/bootstrap.sh

simulator: ## install only what simulations need: .venv and the compiled model; no root
	@PYTHON="$(PYTHON)" sh playbooks/bootstrap.sh --simulator

scenario: $(NEEDED) ## run one experiment to its report: NAME=x, also SET="a=b c=d" and ENGINE=emulation|simulation
	@test -n "$(NAME)" || { echo 'error: which scenario? Say: make scenario NAME=switch-port-contention'; exit 2; }
	@$(LAB) run $(NAME) $(foreach pair,$(SET),--set '$(pair)') $(if $(ENGINE),--engine $(ENGINE))

browser: ## install the headless browser that tests look at pages with
	@sh playbooks/files/apt-install.sh chromium-headless-shell=chromium-headless-shell

test: setup browser ## the quality gate: lint, types, unit, emulation and end-to-end tests
	@$(MAKE) --no-print-directory lint types
	$(PYTEST) -m 'not slow' || { \
		echo 'test: what failed runs once more, by itself; what fails again has failed'; \
		$(PYTEST) -m 'not slow' --last-failed; }

# These work on what `make setup` has made; without it they say so.
$(LAB):
	@echo 'error: nothing is set up here yet'; echo 'remedy: as root: make setup'; exit 1

lint: | $(LAB) ## check style and formatting
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)

types: | $(LAB) ## check types, strictly
	$(VENV)/bin/mypy

unit: | $(LAB) ## only the tests that need no network, no root, no Docker and no browser
	$(PYTEST) -m 'not slow and not emulation and not browser'

format: | $(LAB) ## rewrite the code in the one style
	$(VENV)/bin/ruff check --fix $(CODE)
	$(VENV)/bin/ruff format $(CODE)

down: | $(LAB) ## remove whatever a lab left on this machine
	@$(LAB) down

doctor: | $(LAB) ## say what this machine can do, and the remedy for what it cannot
	@$(LAB) doctor

bench: setup ## measure switches, line cards and simulator on this machine; writes results/bench.json
	@$(LAB) bench

nightly: setup browser ## the long tests, every scenario on both engines, all claims; a part: SCENARIOS="a b"
	@$(PYTEST) -m slow; tests=$$?; \
	$(PLAYBOOK) playbooks/nightly.yml -e 'scenarios="$(SCENARIOS)"' && exit $$tests

report: | $(LAB) ## rebuild the report of the newest run of NAME=x
	@$(LAB) report $(NAME)

scorecard: | $(LAB) ## the newest verdict on every claim
	@$(LAB) scorecard

claims: | $(LAB) ## the registry of claims, by system and verdict
	@$(LAB) claims

clean: ## remove .venv and everything built in this folder; results/ stays
	rm -rf $(VENV) build .setup *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find lab tests topologies -name __pycache__ -type d -prune -exec rm -rf {} +
	find lab -name '*.so' -delete
