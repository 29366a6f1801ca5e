# `make demo` and `make test` are all a newcomer needs; each creates .venv when it is missing or out of date.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PY := .venv/bin/python

.PHONY: demo demo-amo demo-diffusion test lint types docs venv venv-dev clean

venv:
	@$(PYTHON) tools/make_venv.py

venv-dev:
	@$(PYTHON) tools/make_venv.py --dev

demo: venv
	$(PY) tools/demo.py

demo-%: venv  # sfd, lgcaa, diffir, ...: one of tools/demo.py's
	$(PY) tools/demo.py $*

demo-amo: venv
	$(PY) tools/demo.py amo
	$(PY) tools/demo.py lora

demo-diffusion: demo-diffir demo-resshift demo-stablesr

test: venv-dev  # one thread in each process: more would wait for each other
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

lint: venv-dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) tools/check_options.py options

types: venv-dev
	$(PY) -m mypy -p prismsr
	$(PY) -m mypy basicsr/train.py basicsr/test.py

docs: venv-dev  # site/index.html; strict: a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

clean:
	rm -rf .venv build site *.egg-info .pytest_cache .mypy_cache .ruff_cache
