# Two commands do everything on a fresh machine: make demo, make test. Nothing else has to be installed first but
# Python 3.11 or newer; a C compiler makes it fast. PYTHON=python3.12 make demo takes another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
BUILD_INPUTS := pyproject.toml setup.py compiled_docstrings.py constraints.txt
# Numbers of these are written into the compiled modules.
BUILD_INPUTS += $(addprefix protocol/torq_protocol/,constants.py compiled_numbers.py _checksum.h)

# Tests start hundreds of processes: without bytecode each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# Sources that are compiled: an edited one must be compiled again, or its old compiled form would still be running.
COMPILED := $(shell sed -n 's/^ *"\(.*: "\)\{0,1\}\([a-z_]*\/torq_[a-z_]*\/[a-z_]*\.\(py\|c\)\)",$$/\2/p' setup.py)

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test lint types docs-check docs-run unit unit-measured unit-others coverage format generate \
        pictures deb bench bench-fanout simulate chaos load matrix mutation equivalence foreign clean

help: ## Show what can be done
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Torq needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Use PYTHON=python3.12 make ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Bytecode (--no-compile) is written by whoever first imports a module: most of what is installed, nobody imports.
$(VENV)/.build-tools: constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --no-compile -c constraints.txt setuptools mypy librt msgspec
	@touch $@

# Torq itself is compiled while what it needs to run is downloaded.
$(VENV)/.built: $(VENV)/.build-tools $(BUILD_INPUTS) $(COMPILED)
	$(PIP) install --quiet --no-compile --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.packages $(VENV)/.packages-dev: $(VENV)/.build-tools pyproject.toml constraints.txt
	@$(BIN)/python -c "$$LIST_PACKAGES" arrays async conformance inspect relay $(if $(filter %-dev,$@),dev) > $@.txt
	$(PIP) install --quiet --no-compile -c constraints.txt -r $@.txt
	@touch $@

define LIST_PACKAGES
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = [name for extra in sys.argv[1:] for name in project["optional-dependencies"][extra]]
print(*project["dependencies"], *(name for name in extras if not name.startswith("torq[")), sep="\n")
endef
export LIST_PACKAGES

$(VENV)/.installed: $(VENV)/.build-tools $(BUILD_INPUTS) $(COMPILED)
	@$(MAKE) --no-print-directory -j 2 $(VENV)/.built $(VENV)/.packages
	@$(BIN)/python -c 'from torq_protocol import build_info; print(build_info())'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.build-tools $(BUILD_INPUTS) $(COMPILED)
	@$(MAKE) --no-print-directory -j 2 $(VENV)/.built $(VENV)/.packages-dev
	@$(BIN)/python -c 'from torq_protocol import build_info; print(build_info())'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed ## Make the environment in .venv and install Torq in it (TORQ_COMPILE=auto|yes|no)

install-dev: $(VENV)/.installed-dev ## The same with the tools for development

demo: install ## Install, then judge the built-in reference relays by the conformance suite
	@for domain in market_data signal execution; do \
	  $(BIN)/torq-conformance --domain $$domain --max-examples 20 --time-budget 120s || exit; echo; done

# Types are checked by one process: what stands beside them has the other cores.
test: install-dev ## Everything that CI runs: style, arrows, types, generated pages, tests
	@$(MAKE) --no-print-directory -j 2 --output-sync=target types lint docs-check unit-others unit-measured

lint: install-dev ## Style and the arrows between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports --no-cache

types: install-dev ## mypy --strict over everything
	$(BIN)/mypy

docs-check: install-dev ## Generated pages are what their generators write
	$(BIN)/python -m spec_tests.generated --check

docs-run: install-dev ## Run every command that the pages show, the long ones too, within BUDGET=60m (PAGES=docs/ci.md: of one)
	nice $(BIN)/python -m spec_tests.pages --budget $(or $(BUDGET),60m) $(PAGES)

PYTEST := $(BIN)/python -m pytest -q --dist loadfile --no-loadscope-reorder
MEASURED := spec_tests/engine spec_tests/domains

unit: install-dev ## The tests, on all cores, with branch coverage of engine and domains
	@$(MAKE) --no-print-directory -j 2 --output-sync=target unit-measured unit-others

# Measuring makes tests half as slow again: it is done where a bound is promised; `make coverage` does it everywhere.
unit-measured: install-dev
	@rm -f .coverage .coverage.*
	$(PYTEST) -n "$$(nproc)" --cov=engine/torq_engine --cov=domains/torq_domains --cov-report= $(MEASURED)
	@$(BIN)/python -m spec_tests.coverage_table torq_engine torq_domains

# Many wait for a relay and not for a core: three times as many processes as there are cores.
unit-others: install-dev
	$(PYTEST) -n "$$(( $$(nproc) * 3 ))" spec_tests $(addprefix --ignore=,$(MEASURED))

coverage: install-dev ## The tests with branch coverage of every package, and the lines and branches that none takes
	@rm -f .coverage .coverage.*
	$(PYTEST) -n "$$(nproc)" --cov --cov-report= spec_tests
	$(BIN)/coverage report --show-missing
	@$(BIN)/python -m spec_tests.coverage_table

format: install-dev ## Format the code and sort what can be sorted
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: install-dev ## Write the generated pages, vectors and dissectors anew
	$(BIN)/python -m spec_tests.generated

pictures: install-dev ## Take the picture of the HTML report anew, with Chromium
	$(BIN)/python -m spec_tests.pictures

deb: install ## A Debian package of the relays with units, user and configuration, in dist (needs dpkg-deb)
	$(BIN)/python debian_package.py

bench: install ## Figures of this machine: protocol, relay, latency, connections
	$(BIN)/python -m torq_bench

bench-fanout: install ## Fan-out of a daemon to 10 receivers, 5 million frames
	$(BIN)/python -m torq_bench fanout

simulate: install-dev ## Relays replaced under their clients on a simulated kernel for a minute (SECONDS=60): one seed, one history
	$(BIN)/python -m spec_tests.simulation --seconds $(or $(SECONDS),60)

chaos: install ## Misbehaving clients, signals and reloads at a relay for 5 minutes (SECONDS=300), a witness beside them
	$(BIN)/python -m torq_bench chaos --seconds $(or $(SECONDS),300)

load: install ## 1000 clients send to one another for a minute (SECONDS=60), every byte compared, nothing may leak
	$(BIN)/python -m torq_bench load --seconds $(or $(SECONDS),60)

matrix: install-dev ## Judge the reference relays, the historical ones and every mutant; write docs/matrix.md
	$(BIN)/python -m spec_tests.matrix_page

mutation: install-dev ## Judge SAMPLE=100 mechanical mutants of correct relays within BUDGET=10m; write docs/mutation.md
	nice $(BIN)/python -m spec_tests.mutation --sample $(or $(SAMPLE),100) --budget $(or $(BUDGET),10m)

equivalence: install-dev ## Hold right, faulty and historical relays against right ones by diff within BUDGET=60m
	nice $(BIN)/python -m spec_tests.equivalence_page --budget $(or $(BUDGET),60m)

foreign: install-dev ## Judge a relay written from the specification alone RUNS=20 times, then each of its faults; BUDGET=60m
	nice $(BIN)/python -m spec_tests.foreign --runs $(or $(RUNS),20) --faults --budget $(or $(BUDGET),60m)

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov
	rm -rf torq-failures
	find . -name '*.so' -not -path './$(VENV)/*' -delete
	find . -name '__pycache__' -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	find . -name '*.egg-info' -not -path './$(VENV)/*' -prune -exec rm -rf {} +
