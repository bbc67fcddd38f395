# make run: the page. make test: everything that is checked. See README.md.
.PHONY: run test bench demo-model lint chromium
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TORCH := torch>=2.9,<2.14
# Another package index for torch alone, where one build of it is wanted
TORCH_INDEX ?=
# Passed on to the page or to the tests: make run ARGS="--port 8000"
ARGS ?=
SEED ?= 0
WORLD ?= assets/demo_model
# Tests side by side, those of the page one after another among themselves; by default all one after another, since browsers and
# servers beside other work are slow enough to be taken for broken
JOBS ?= 0

run: $(VENV)/ready
	@exec $(BIN)/python app.py $(ARGS)

test: chromium $(VENV)/ready-dev
	@exec $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

bench: chromium $(VENV)/ready-dev
	@exec $(BIN)/python -m benchmarks $(ARGS)

demo-model: $(VENV)/ready
	@exec $(BIN)/python -m unlearn_core.demo.build --seed $(SEED) --out $(WORLD) --references all $(ARGS)

lint: $(VENV)/ready-dev
	@exec $(BIN)/python -m ruff check .

chromium:
	@command -v chromium chromium-browser >/dev/null || { \
	  echo "Chromium is missing, and the browser tests need it. On Debian or Ubuntu: sudo apt-get install chromium" >&2; \
	  exit 1; }

# One folder holds everything that is installed; deleting it starts afresh. The files below say how far that got.

$(VENV)/ready: requirements.txt $(VENV)/constraints.txt
	@echo "Installing what the page needs (once; a minute or two)"
	@$(PIP) install -c $(VENV)/constraints.txt -r requirements.txt
	@touch $@

$(VENV)/ready-dev: requirements-dev.txt $(VENV)/ready
	@echo "Installing what the tests need (once)"
	@$(PIP) install -c $(VENV)/constraints.txt -r requirements-dev.txt
	@touch $@

# torch comes first and on its own line, and is then pinned, so that nothing after it can bring another build.
$(VENV)/constraints.txt: | $(VENV)/created
	@$(BIN)/python -c '$(TORCH_HERE)' >/dev/null 2>&1 || { \
	  echo "Installing torch (once; the largest part)"; \
	  $(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH)"; }
	@found=$$($(BIN)/python -W ignore -c '$(TORCH_HERE)') && echo "torch==$$found" > $@

# With a torch of the right range already there, the environment sees that one and everything beside it.
$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Lethe needs Python 3.11 or newer, and '$(PYTHON)' is not. Name another: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python cannot make environments here. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@if found=$$($(PYTHON) -c '$(TORCH_HERE)' 2>/dev/null); then \
	  echo "Using the torch $$found that is already installed"; \
	  $(PYTHON) -m venv --system-site-packages $(VENV); \
	else \
	  $(PYTHON) -m venv $(VENV); exit; \
	fi && \
	if ! $(BIN)/python -c '$(TORCH_HERE)' >/dev/null 2>&1; then \
	  $(PYTHON) -c '$(TORCH_PLACE)' > "$$($(BIN)/python -c '$(SITE)')/torch-found.pth"; \
	fi
	@touch $@

# Prints the version of an importable torch of the right range, or fails.
define TORCH_HERE
import sys, torch; \
found = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]); \
sys.exit("another torch") if not (2, 9) <= found < (2, 14) else print(torch.__version__)
endef

# An environment made from within an environment sees the system's packages only: then torch's place is named.
TORCH_PLACE := import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])
SITE := import sysconfig; print(sysconfig.get_path("purelib"))
