# make run    prepares the environment and runs the default scenario
# make test   prepares the environment, runs the whole suite, and checks plans, docs and the kernel's coverage
#
# ARGS reach the command: make run ARGS="--agents 50 --seed 7", make test ARGS="-k ledger".
# PYTHON names the interpreter, when the one that is found is not the one you want.

VENV := .venv
BIN := $(VENV)/bin

# An environment knows where it stands, so one that was copied with its checkout is made again.
MADE := $(VENV)/.made-$(shell pwd | cksum | tr -d ' ')
INSTALLED := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The kernel's own tests reach every branch of the kernel.
COVERAGE = $(BIN)/pytest -q tests/world --numprocesses=auto --dist=worksteal --cov=scripworld.world --cov-branch --cov-fail-under=100

PLANS = $(BIN)/scripworld-plans

.PHONY: run test coverage test-offline check lock clean

run: $(INSTALLED)
	@command -v npx >/dev/null || echo "npx is not installed: tool servers that need Node 20 or newer will say so, and the run goes on."
	@[ "$$(uname)" != Linux ] || [ -n "$$MCP_SANDBOX_RUNNER" ] || command -v bwrap >/dev/null || echo "bubblewrap is not installed: tool servers, which run inside it, will say so, and the run goes on."
	@$(BIN)/scripworld run $(ARGS)

# Evidence and docs are compared with commits, so they need git and its whole history.
HISTORY = [ -e .git ] && [ "$$(git rev-parse --is-shallow-repository)" = false ]

# The suite runs once, and proves the plans too.
test: $(INSTALLED)
ifdef ARGS
	@$(BIN)/pytest $(ARGS)
else
	@$(PLANS) tests --all --suite --workers auto
	@if $(HISTORY); then $(PLANS) evidence; else echo "Evidence is not compared: the history is not here (git fetch --unshallow)."; fi
	@$(PLANS) blockers
	@$(PLANS) sync --check
	@if $(HISTORY); then $(PLANS) docs --strict; else echo "Docs are not compared: the history is not here (git fetch --unshallow)."; fi
	@$(COVERAGE)
endif

coverage: $(INSTALLED)
	@$(COVERAGE)

test-offline: $(INSTALLED)
	@$(BIN)/pytest -m "not registry" $(ARGS)

check: $(INSTALLED)
	@scripts/check $(ARGS)

# Compiles requirements.txt from pyproject.toml; the versions that are there stay unless ARGS=--upgrade.
lock: $(INSTALLED)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS) \
		--output-file requirements.txt pyproject.toml

clean:
	@rm -rf $(VENV) build dist *.egg-info .coverage htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find benchmarks scripts src tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(MADE):
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making the environment in $(VENV) with $$("$$python" --version)."; \
			"$$python" -m venv --clear $(VENV) && touch $@; \
			exit; \
		fi; \
	done; \
	echo "Scripworld needs Python 3.11 or newer with its venv module, and none was found: install one, or name it with make PYTHON=/path/to/python3."; \
	exit 1

$(INSTALLED): $(MADE) requirements.txt pyproject.toml
	@echo "Installing what requirements.txt pins; this happens once and takes about a minute."
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.txt \
		&& $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . \
		|| { echo "The environment could not be installed: pip says why above. It goes on from there at the next start."; exit 1; }
	@touch $@
