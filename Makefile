# make run · make test · make lint · make bench · make evidence-searchers · make evidence-feature-history
# make evidence-pr-darts · make evidence-kd-pruning · make evidence-refine · make clean
#
# PYTHON names the interpreter that makes the environment, VENV the environment's directory:
#     make test PYTHON=python3.12 VENV=~/environments/automl

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test lint bench evidence-searchers evidence-feature-history evidence-pr-darts evidence-kd-pruning \
	evidence-refine clean

# The knowledge-transfer-graph search on the digits that scikit-learn brings: offline, minutes on two cores.
run: $(INSTALLED)
	$(BIN)/automl run --space ktg --searcher asha

test: lint
	$(BIN)/python -m pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each prints a table and writes benchmarks/results/NAME.json; the last three write into benchmarks/README.md as well.
bench: $(INSTALLED)
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/trainer.py
	$(BIN)/python benchmarks/supernet.py
	$(BIN)/python benchmarks/pruning.py
	$(BIN)/python benchmarks/searchers.py
	$(BIN)/python benchmarks/simulated.py

# At most an hour, then started again it goes on: what is done is kept in benchmarks/evidence/.
evidence-searchers: $(INSTALLED)
	$(BIN)/python benchmarks/evidence_searchers.py

# At most 40 minutes, on images of your own: make evidence-feature-history DATA=images.npz (MedMNIST's layout). It goes on
# where it was, like the one above.
evidence-feature-history: $(INSTALLED)
	$(BIN)/python benchmarks/evidence_feature_history.py --data '$(DATA)'

# At most 40 minutes, on images of your own, or on digits without DATA. It goes on where it was, like those above.
evidence-pr-darts: $(INSTALLED)
	$(BIN)/python benchmarks/evidence_pr_darts.py --data '$(DATA)'

# At most 40 minutes, on images of your own, or on digits without DATA. It goes on where it was, like those above; its
# studies stay in benchmarks/evidence/automl-workspace.
evidence-kd-pruning: $(INSTALLED)
	$(BIN)/python benchmarks/evidence_kd_pruning.py --data '$(DATA)'

# At most 40 minutes: searches of tables, and a refinement of graphs on images of your own, or on digits without DATA. It
# goes on where it was, like those above; its study stays in benchmarks/evidence/automl-workspace.
evidence-refine: $(INSTALLED)
	$(BIN)/python benchmarks/evidence_refine.py --data '$(DATA)'

# Workspaces are left alone: they hold studies.
clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing that venv puts into an environment, so an environment without it is not finished.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Python 3.11 or newer is needed, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1);" \
	         "name another one, for example: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "'$(PYTHON) -m venv' failed; it is a package of its own on some systems (Debian: python3-venv)" >&2; exit 1; }

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@
