# Everything a fresh machine needs is a prerequisite here: `make demo` and `make test` do all the set-up.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
export PYTHONPATH := tests

.PHONY: help demo test lint docs bench fleet sweep matrix world world-shell world-down clean setup

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## the main job in the embedded world: expose, trust, build, push, twice; and a page about it
	@$(PY) -m world exec -- $(PY) tests/demo.py
	@$(PY) tests/demo.py show

test: setup ## every test; ends with one line of counts
	@$(PY) tests/run.py

lint: $(VENV)/.ready ## formatters, linters, types, ansible-test sanity
	@$(PY) -m pytest tests/quality

docs: $(VENV)/.ready ## the guides and a reference of everything as a site, in build/docs
	@$(PY) docs/site/build.py

bench: setup ## side by side with what people use otherwise; writes build/bench.json
	@$(PY) -m world exec -- $(PY) -m bench

CLUSTERS ?= 3
fleet: setup ## as many worlds at once as CLUSTERS says (0.4 GB each), and some that do not work
	@$(PY) -m world exec -- $(PY) -m bench.fleet $(CLUSTERS)

sweep: setup ## Quay from nothing, killed after each of its writes in turn
	@QUAYSIDE_SWEEP=1 $(PY) -m world exec -- $(PY) -m pytest tests/integration/test_quay_journey.py -k killed

matrix: setup ## units, sanity and a smoke of the world, from the oldest to the newest ansible-core
	@$(BIN)/nox

world: setup ## a world that stays: prints how to reach it
	@$(PY) -m world up

world-shell: $(VENV)/.ready ## a shell inside it
	@$(PY) -m world shell

world-down: $(VENV)/.ready ## end it
	@$(PY) -m world down

clean: ## remove what was made here (not the control plane's cache)
	rm -rf build $(VENV)

setup: $(VENV)/.ready build/.tools
	@$(PY) -m world build

$(VENV)/.ready: tests/requirements.txt
	@echo "Python packages into $(VENV): usually one to two minutes, once."
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(PY) -r tests/requirements.txt
	@# every module is a new process: without bytecode it would compile its imports each time
	@$(PY) -m compileall -q -j 0 -x 'ansible_collections/(?!ansible/posix|kubernetes)' $(VENV)/lib >/dev/null || true
	@touch $@

build/.tools:
	@mkdir -p build
	@sh tests/tools.sh
	@touch $@
