# One list of commands for people and CI. Each target sets up what it needs: a Python 3.11+ and a package index suffice.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# The longest groups first, as tests/conftest.py sorts them. Three processes for two cores: those that wait for a browser, a
# killed process or a cluster leave theirs to the others.
SIDE_BY_SIDE := --numprocesses 3 --dist loadgroup --no-loadscope-reorder

# Dozens of processes are started: each would compile every module anew where this is set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test check every unit real fix bench clean

setup: $(READY)

# torch first and alone: pip would otherwise look at builds of several GB while it resolves the rest.
$(READY): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,mcp,onnx,quantize,ray]'
	@touch $@

# The main job as one conversation with the built-in planner; everything it makes lies in the folder demo/.
demo: setup
	$(BIN)/layerwise chat --llm offline --home demo --session demo --approve all --once "Train minilm on the Amazon demo reviews, then tell me which layers I can drop to make it twice as fast, and do it"
	$(BIN)/layerwise chat --llm offline --home demo --session demo --once "Which method should I believe?"
	$(BIN)/layerwise chat --llm offline --home demo --session demo --once "Write a report"
	@echo "Ask more:  $(BIN)/layerwise chat --llm offline --home demo --session demo    or in a browser:  $(BIN)/layerwise ui --home demo"

# Lint, types and all tests side by side: a thread of its own for each does more than two threads for one after the other.
test: setup
	$(MAKE) --jobs 2 check every

every: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest $(SIDE_BY_SIDE)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# One thread each: tiny models gain nothing from two.
unit: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not real" $(SIDE_BY_SIDE)

real: setup
	$(BIN)/pytest -m real

# Ours against the straightforward way, both in one run, and plans against the published ones; some cases alone:
# make bench ONLY=a,b or ONLY=plans
bench: setup
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache
