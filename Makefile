# The few commands a person needs: `make help` lists them.
# What is installed is decided by the two lock files, which `make lock` writes
# from pyproject.toml; everything lives in .venv and one cache folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin/
UNFINISHED := .venv-unfinished
RUN := PYTHONPATH=. $(BIN)python

# A stamp carries the sum of the lock file it was installed from: another lock
# is another stamp, whatever the clock or git says about the file.
sum = $(firstword $(shell cksum < $(1)))
RUNTIME := $(VENV)/installed-$(call sum,requirements.lock)
DEV := $(VENV)/installed-dev-$(call sum,requirements-dev.lock)

.DEFAULT_GOAL := help
.PHONY: help demo test format bench lock clean FORCE

help:  ## Lists these commands.
	@sed -n 's/^\([a-z]*\):.*  ## /  make \1\t/p' Makefile | expand -t 16

demo: $(RUNTIME)  ## Fine-tunes real weights on the example tickets.
	@checkpoint="$$($(RUN) examples/fetch_minilm.py)" && \
	$(RUN) examples/demo.py "$$checkpoint"

# SLOW=1 runs the slow tests too, in one process, since some of them start
# several programs; otherwise two files run at a time. PYTEST_FLAGS goes to
# pytest.
test: $(DEV)  ## Lints, checks types and imports, runs the tests.
	$(BIN)python -m ruff check
	$(BIN)python -m ruff format --check
	$(BIN)python -m mypy
	$(BIN)python $(BIN)lint-imports --no-logo
	$(BIN)python -m pytest $(if $(SLOW),-m '',-n 2 --dist loadfile) \
		$(PYTEST_FLAGS)

format: $(DEV)  ## Formats the code and repairs what lint can repair.
	$(BIN)python -m ruff check --fix
	$(BIN)python -m ruff format

# SST2 names its dev.tsv, or a file with a sentence a line; RUN_DIR the folder
# of a fine-tuning on it, to compare exports. Peers that are not installed
# (`$(BIN)python -m pip install -e '.[benchmarks]'`) are left out. BATCHES and
# ROUNDS, turns of each, make it longer or shorter.
RESULTS := benchmarks/results
BATCHES := 4
ROUNDS := 2
CONTEST = $(RUN) -m benchmarks.contest --text_file=$(SST2) \
	--vocab_file="$$checkpoint/tokenizer.json" \
	--batches=$(BATCHES) --rounds=$(ROUNDS)
bench: $(DEV)  ## Measures the model beside its peers: make bench SST2=file.
	@test -f "$(SST2)" || { \
		echo "Name a file of sentences: make bench SST2=dev.tsv" >&2; exit 2; }
	@set -e; mkdir -p $(RESULTS); \
	checkpoint="$$($(RUN) examples/fetch_minilm.py)"; \
	for shape in BERT-Base MiniLM; do for task in predict train; do \
		$(CONTEST) --task=$$task --shape=$$shape \
			| tee -a $(RESULTS)/model.jsonl; \
	done; done; \
	$(CONTEST) --task=memory --order=random | tee -a $(RESULTS)/model.jsonl; \
	test -z "$(RUN_DIR)" || $(CONTEST) --task=int8 --model_dir=$(RUN_DIR) \
		--order=sorted --batches=27 | tee -a $(RESULTS)/model.jsonl; \
	test -z "$(RUN_DIR)" || $(RUN) -m benchmarks.serving \
		--model_dir=$(RUN_DIR) --text_file=$(SST2) \
		| tee -a $(RESULTS)/serving.jsonl; \
	$(RUN) -m benchmarks.tables

# UPGRADE=1 moves every version; without it, the pins that still fit stay.
COMPILE = $(BIN)python -m uv pip compile pyproject.toml --quiet --universal \
	--python-version 3.10 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
# The development lock is solved first: what only some extra holds back, as
# Beam does protobuf, the program's own lock then has alike.
lock: $(DEV)  ## Writes the lock files anew from pyproject.toml.
	$(COMPILE) --output-file requirements-dev.lock \
		--extra tensorboard --extra vocabulary --extra serving --extra onnx \
		--extra litert --extra beam --extra spreadsheets --extra parquet \
		--extra label_errors --extra garden --extra translation \
		--group dev
	$(COMPILE) --output-file requirements.lock \
		--constraint requirements-dev.lock

clean:  ## Removes .venv and the tools' caches.
	rm -rf $(VENV) $(UNFINISHED) .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache

# pip may take the half of a package that a killed pip left for a whole one:
# where a run was cut off, the next one starts from an empty .venv. So does
# one that finds .venv without a working Python.
define install
	@if [ -e $(UNFINISHED) ] || ! $(BIN)python -c '' 2>/dev/null; then \
		$(create); \
	fi
	@touch $(UNFINISHED)
	$(BIN)python -m pip install --disable-pip-version-check \
		--only-binary=:all: --require-hashes -r $(1)
	@touch $@
	@rm $(UNFINISHED)
endef

define create
{ command -v $(PYTHON) >/dev/null || { \
	echo "There is no $(PYTHON) here: install Python 3.10-3.13 or name it," \
		"as in 'make $(MAKECMDGOALS) PYTHON=python3.12'." >&2; exit 2; }; } && \
{ $(PYTHON) -c 'import sys; \
sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	echo "$$($(PYTHON) -V 2>&1) does not do: TensorFlow wants 3.10-3.13." \
		"Name one, as in 'make $(MAKECMDGOALS) PYTHON=python3.12'." >&2; \
	exit 2; }; } && \
{ $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	echo "$(PYTHON) has no venv with pip: install it" \
		"(on Debian and Ubuntu: apt install python3-venv)." >&2; \
	exit 2; }; } && \
touch $(UNFINISHED) && $(PYTHON) -m venv --clear $(VENV)
endef

$(RUNTIME):
	$(call install,requirements.lock)

# The development lock holds the program's own versions as well.
$(DEV):
	$(call install,requirements-dev.lock)
	@touch $(RUNTIME)

ifneq ($(shell $(BIN)python -c 'print(1)' 2>/dev/null),1)
$(RUNTIME) $(DEV): FORCE
endif
