# Every verb works on a bare machine with Python 3.11 or 3.12: the first one installs into .venv.

BIN := .venv/bin
CODEC ?= swift
MINUTES ?= 25

# `command -v` is not enough: a version manager's shim exists even where its Python does not.
USABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for python in python3.12 python3.11 python3 python; do \
	$$python -c '$(USABLE)' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench docs campaign

help: ## list the verbs
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST)

demo: .venv/.dev ## encode and decode one picture; print bpp, PSNR, seconds
	$(BIN)/corelic demo --output build/demo --overwrite

test: .venv/.dev ## run the tests, offline, without a GPU; K=name narrows, ARGS="-n 2" adds
	$(BIN)/python -m pytest $(if $(K),-k "$(K)") $(ARGS)

lint: .venv/.dev ## run what pre-commit runs, on everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict corelic

bench: .venv/.dev ## measure CODEC=swift on Kodak, real files; one JSON under benchmarks/results
	$(BIN)/python benchmarks/kodak.py --codec $(CODEC)

campaign: .venv/.dev ## train swift for MINUTES=25 more, measure it, add a line to recipes/CAMPAIGN.md
	$(BIN)/python benchmarks/campaign.py --minutes $(MINUTES)

docs: .venv/.dev ## run the Python and console examples of README.md and docs/, check every link
	$(BIN)/python -m pytest tests/test_docs.py

.venv/.dev: setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 with venv is needed; make PYTHON=path names it" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench,dev]'
	# What else it requires is for its data sets, and as large as torch.
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps compressai einops pytorch-msssim || \
		echo "compressai could not be installed: tests of its codecs will skip" >&2
	touch $@
