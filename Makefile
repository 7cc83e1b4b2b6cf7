# Two commands do all the set-up: `make demo` runs the main job, `make test` checks everything. `make serve` starts the service.
# Needs python3 (3.11 to 3.13) with venv, and make. Everything else is installed into .venv from the hash-locked files.

PYTHON ?= python3
BIN := .venv/bin
# Bytecode is compiled once, here: otherwise every process where it cannot be written (a read-only system, PYTHONDONTWRITEBYTECODE) compiles it anew.
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python
export UV_PYTHON_DOWNLOADS := never
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export BENTOML_DO_NOT_TRACK := true
export OMP_WAIT_POLICY := PASSIVE

.PHONY: mutants demo test quick serve service lint unit lock pages docs clean

demo: .venv/.train  ## the main job on a synthetic county (HOUSEHOLDS=2000: a smaller one), or on yours: make demo TABLES=folder
	@$(BIN)/riskmodel demo $(if $(TABLES),--tables "$(TABLES)") $(if $(HOUSEHOLDS),--households $(HOUSEHOLDS))

serve: .venv/.train  ## the scoring service on 127.0.0.1:3000 (after `make demo`)
	@$(BIN)/riskmodel serve $(if $(PORT),--port $(PORT))

service: .venv/.serve  ## on the machine that serves: only what serves, without what trains (docs/operations.md)

test: lint unit  ## format, lint, types, import layers, tests (which build the wheel and the Bento)

quick: .venv/.dev  ## lint, and the tests without a marker: no browser, no other process, no training
	$(BIN)/ruff format --check --quiet $(TRACKED)
	$(BIN)/ruff check $(TRACKED)
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m 'not browser and not process and not training'

# What git tracks: own features and plans that are half written are their author's business.
TRACKED := $$(git ls-files '*.py' '*.ipynb' 2>/dev/null | grep . || echo .)

lint: .venv/.dev
	$(BIN)/ruff format --check --quiet $(TRACKED)
	$(BIN)/ruff check $(TRACKED)
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/.dev
	$(BIN)/python -m pytest --durations=30 $(PYTEST)

mutants: .venv/.dev  ## small faults in the rooms that decide, which the nearest tests must notice: make mutants ROOM="folds exits"
	$(BIN)/python tests/mutants/run.py $(ROOM)

# One environment; the stamps say how much of it is there. A change of a lock file installs again, otherwise a second run starts at once.
.venv/bin/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "riskmodel needs Python 3.11, 3.12 or 3.13; $(PYTHON) is `$(PYTHON) --version 2>&1`. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up .venv (once; about 1 GB, a few minutes on a slow line) ..."
	@$(PYTHON) -m venv .venv || { echo "Python's venv is missing. On Debian and Ubuntu: apt-get install python3-venv"; rm -rf .venv; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

.venv/.serve: .venv/bin/uv requirements/serve.txt pyproject.toml
	@$(UV) --require-hashes -r requirements/serve.txt
	@$(UV) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.train: .venv/bin/uv requirements/train.txt pyproject.toml
	@$(UV) --require-hashes -r requirements/train.txt
	@$(UV) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q src serving
	@echo "Compiling the features and the explanations (once; about a minute) ..."
	@$(BIN)/python -c "from riskmodel.features import warm_up; warm_up()"
	@$(BIN)/python -c "from riskmodel.screening.warming import warm_up; warm_up()"
	@touch $@

.venv/.dev: .venv/.train requirements/dev.txt
	@$(UV) --require-hashes -r requirements/dev.txt
	@touch $@

lock: .venv/bin/uv  ## make the lock files again from pyproject.toml
	$(BIN)/python requirements/lock.py

pages: .venv/.dev  ## write the generated pages of docs/ again
	$(BIN)/python docs/generate.py

docs: .venv/.dev  ## the documentation as a site, searchable without a connection: out/site/index.html
	$(BIN)/python -m sphinx --fail-on-warning --quiet -b html docs out/site

clean:
	rm -rf .venv out dist
