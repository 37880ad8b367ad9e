# make demo [CONF=FILE] [DATAPLANE=ipvs|nftables]   a cluster on this machine, from start to failover, in a minute
# make test                                         everything: units, namespaces, the test kernel, the originals
# make bench [LONG=1] [RESUME=1] [ONLY='checks …']  the benchmark book, docs/benchmarks.md: 14 minutes, or 35
# make differential [CONFIGURATIONS=DIR | RANDOM=SEED] 130 LVS configurations (or those in DIR) beside keepalived: 20 minutes
# make differential-ldirectord                      every service, all actions, mails beside Debian's ldirectord: 45 minutes
# make interop [SHAPES='v2 ah …']                    VRRP pairs in every mix live through the same events, then logs: 15 minutes
# make clients                                      Neutron's own keepalived tests and Octavia's agent on this program: 7 minutes
# make storm                                        1,000 VRRP instances on loaded processors, beside keepalived: 4 minutes
# make flood                                        50,000 hostile packets a second against a MASTER, beside keepalived: 3 minutes
# make watchers [SECONDS=60]                        100 clients on the control socket: adverts, memory: 2 minutes
# make fuzz [PACKETS=N] [SECONDS=600]               a million hostile packets, then every decoder guided by coverage: 75 minutes
# make chaos [KILLS=200]                            kills at random moments under supervision and traffic, then loss, delay and clock steps in the test kernel: 25 minutes
# make soak [SECONDS=600]                           ten reloads a second for ten minutes: adverts, connections, memory, state
# make soak MINUTES=30                              adverts each 10 ms, checks each 50 ms, a reload a second: all must be flat
# make simulate [HOURS=100] [SEED=N]                clusters, and directors, in virtual time, then planted faults: 8 minutes
# make mutate [ONLY='vrrp.hearing …'] [SAMPLE=N]    small faults in every line of the cores: what the simulator misses: an hour
# make page-check                                  the status page in Chromium: axe-core, 360 pixels, pictures: 2 minutes
# make alerts-check                                our alerts and dashboard under Prometheus's promtool: a minute
# make site                                        the documentation as a site, in build/site
# make docs-check                                  every command of every tutorial does what the page says: 3 minutes
# make lint                                         formatting, types, layers
# make install [PREFIX=/usr/local] [DESTDIR=DIR]    the program, its links and manual pages
# make deb [DIST=dist]                              a Debian package that takes keepalived's and ldirectord's place
# make packages-check                               that package over Debian's and back, in a small Debian: 6 minutes
# make wheel [DIST=dist]                            a wheel and a source archive, for pip and pipx
# make lock, make audit, make sbom                  what continuous integration installs, its known faults, our components
# make release [DIST=dist]                          wheel, source archive, Debian package, list of components
# make clean                                        what make made, the virtual environment too
#
# PYTHON=FILE chooses an interpreter (3.11 or newer), TESTS=PATH a part of the tests, JOBS=N how many run side by side.

SHELL := /bin/sh
.DELETE_ON_ERROR:

# Hundreds of tests start the programs, and every worker reads every test: where the environment forbids byte code, each
# of them would compile it all again.
export PYTHONDONTWRITEBYTECODE =
.PHONY: lock audit sbom release
.PHONY: help demo test test-unit test-network test-kernel bench differential interop storm watchers fuzz simulate chaos soak lint format man editors install deb wheel clean packages-demo packages-test

PREFIX ?= /usr/local
DESTDIR ?=
CONF ?= examples/keepalived.conf
DATAPLANE ?= auto
TESTS ?= tests
JOBS ?= 2
PACKETS ?= 1000000
KILLS ?= 200
SECONDS ?= 600
DIST ?= dist

VENV := .venv
BIN := $(VENV)/bin
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON = for each in $(PYTHON) python3 python3.11 python3.12 python3.13 python3.14; do \
		if "$$each" -c '$(NEW_ENOUGH)' 2>/dev/null; then echo "$$each"; exit 0; fi; done; \
	echo "Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3" >&2; exit 1

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

# ── Environment ──────────────────────────────────────────────────────────────────────────────────────────────────────

packages-demo:
	@packaging/install-packages demo $(if $(filter ipvs,$(DATAPLANE)),$(shell test -e /proc/net/ip_vs || echo ipvs))

packages-test:
	@packaging/install-packages run demo ipvs test

$(VENV)/.made:
	@python=$$($(FIND_PYTHON)) && "$$python" -m venv $(VENV) || { \
		echo "No virtual environment: on Debian and Ubuntu, apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@touch $@

# Continuous integration installs exactly what the lock names, by hash; everybody else what setup.cfg asks for.
LOCK := packaging/locked-requirements.txt
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
ifdef CI
LOCKED := $(VENV)/.locked
LOCAL := --no-deps --no-build-isolation
endif

$(VENV)/.locked: $(VENV)/.made $(LOCK)
	$(PIP_INSTALL) --require-hashes --requirement $(LOCK)
	@touch $@

# Each installation says when the metadata changed since; the sources themselves are used in place.
$(VENV)/.run: $(VENV)/.made $(LOCKED) setup.cfg pyproject.toml
	$(PIP_INSTALL) $(LOCAL) --editable .
	@$(BIN)/python -m compileall -q pykeepalived || true
	@touch $@

$(VENV)/.dev: $(VENV)/.made $(LOCKED) setup.cfg pyproject.toml
	$(PIP_INSTALL) $(LOCAL) --editable '.[test,lint]'
	@$(BIN)/python -m compileall -q pykeepalived || true
	@touch $@ $(VENV)/.run

# The client libraries of ldirectord's checks, for the tests that ask real servers. One of them is built from source,
# with the packages of `make packages-test`.
$(VENV)/.clients: $(VENV)/.dev
	$(PIP_INSTALL) $(LOCAL) --editable '.[ldirectord]'
	@touch $@

# ── The two commands ─────────────────────────────────────────────────────────────────────────────────────────────────

demo: packages-demo
	@$(MAKE) --no-print-directory $(VENV)/.run
	@$(BIN)/keepalivedctl demo --conf '$(CONF)' --dataplane '$(DATAPLANE)'

# The quick part first; every part runs, and the exit code is that of the whole.
test: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.dev $(VENV)/.clients
	@failed=; for part in test-unit test-network test-kernel; do \
		$(MAKE) --no-print-directory $$part || failed="$$failed $$part"; done; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed"; exit 1; fi

test-unit: $(VENV)/.dev
	@$(BIN)/python -m compileall -q pykeepalived
	$(BIN)/python -m pytest -q --durations=12 -n $(JOBS) -m 'not netns and not uml and not peer' $(TESTS)

test-network: $(VENV)/.dev
	@$(BIN)/python -m compileall -q pykeepalived
	$(BIN)/python -m pytest -q --durations=12 -n $(JOBS) --dist loadfile -m '(netns or peer) and not uml and not long' $(TESTS)

test-kernel: $(VENV)/.dev
	@$(BIN)/python -m compileall -q pykeepalived
	$(BIN)/python -m pytest -q --durations=12 -n $(JOBS) -m 'uml and not long' $(TESTS)

bench: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.run
	$(BIN)/python benchmarks/book.py $(if $(LONG),--long) $(if $(RESUME),--resume) \
		$(if $(ONLY)$(QUESTIONS),--only $(ONLY) $(QUESTIONS)) $(if $(MINUTES),--minutes $(MINUTES))

differential: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.dev
	LVS_FEATURES=long $(BIN)/python -m pytest -q -m long $(if $(filter tests,$(TESTS)),tests/interop,$(TESTS))
	$(BIN)/python -m tests.interop.lvs.differential $(if $(CONFIGURATIONS),--directory '$(CONFIGURATIONS)') \
		$(if $(RANDOM),--random $(RANDOM))

.PHONY: differential-ldirectord
differential-ldirectord: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.dev $(VENV)/.clients
	@echo "every service with its real server, on this machine and in the test kernel, all actions there, mails, scripts and"; \
		echo "files, a silent server, beside ldirectord: about 45 minutes on a quiet machine with two processors"
	$(BIN)/python -m pytest -q --durations=0 -m long $(if $(filter tests,$(TESTS)),tests/ldirectord,$(TESTS))

interop: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.dev
	$(BIN)/python -m tests.interop.vrrp.scenarios $(SHAPES)
	$(if $(SHAPES),,$(BIN)/python -m tests.interop.logs)

.PHONY: clients
clients: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.dev
	$(BIN)/python -m tests.clients.neutron_functional
	$(BIN)/python -m tests.clients.octavia_functional

storm: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.run
	$(BIN)/python benchmarks/storm.py

.PHONY: flood
flood: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.run
	$(BIN)/python benchmarks/flood.py --check

watchers: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.run
	$(BIN)/python benchmarks/watchers.py --seconds $(if $(filter command line,$(origin SECONDS)),$(SECONDS),60)

simulate: $(VENV)/.dev
	@echo 'clusters of routers, then directors with servers, in virtual time: a minute of CPU time or two for each 100 hours; a crash at each moment of six lives, 3 minutes; then each planted fault, 5 minutes'
	$(BIN)/python -m tests.simulation --hours $(or $(HOURS),100) --seed $(or $(SEED),0)
	$(BIN)/python -m tests.simulation.crashes
	$(BIN)/python -m tests.simulation --faults

.PHONY: mutate
mutate: $(VENV)/.dev
	@echo 'thousands of small faults in the cores, each against the simulator: about an hour and a half without SAMPLE or ONLY'
	$(BIN)/python -m tests.simulation.mutants $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE))

.PHONY: page-check alerts-check site docs-check
page-check: packages-test
	@packaging/install-packages browser $$(command -v npm >/dev/null || echo node)
	@$(MAKE) --no-print-directory $(VENV)/.dev
	$(BIN)/python -m tests.telemetry.page_check build/page

alerts-check: $(VENV)/.dev
	$(BIN)/python -m tests.telemetry.alerts_check build/alerts

site: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/mkdocs build --quiet
	@echo 'the site is in build/site'

docs-check: packages-test
	@$(MAKE) --no-print-directory $(VENV)/.dev
	@echo 'every command of every tutorial, one in the test kernel: about 3 minutes'
	$(BIN)/python -m tests.docs.check

# The fuzzer has wheels for some Pythons only; without it the same decoders get plain mutations.
fuzz: $(VENV)/.dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.vrrp_packets $(PACKETS)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --jobs $(JOBS)

chaos: $(VENV)/.dev
	$(BIN)/python -m tests.runtime.chaos $(KILLS)
	$(BIN)/python -m tests.runtime.weather

soak: $(VENV)/.dev
	$(BIN)/python -m $(if $(MINUTES),tests.runtime.accelerated $(MINUTES),tests.runtime.soak $(SECONDS))

# ── Care ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell README.md CHANGELOG.md docs contrib/README.md man pykeepalived

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

man: $(VENV)/.dev
	$(BIN)/python -m pykeepalived.tools.manpages
	$(BIN)/python -m pykeepalived.tools.keywords_doc
	$(BIN)/python -m pykeepalived.tools.control_doc
	$(BIN)/python -m pykeepalived.cli.page

editors: $(VENV)/.dev
	$(BIN)/python -m pykeepalived.tools.editors
	$(BIN)/python -m pykeepalived.cli.completions

# ── Supply chain ─────────────────────────────────────────────────────────────────────────────────────────────────────

TOOLS := $(VENV)/tools
EXTRAS := test lint ldirectord

$(TOOLS)/.made: $(VENV)/.made setup.cfg
	$(BIN)/python -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[supply]'
	@touch $@

# What continuous integration installs: these extras, resolved for this Python, with the hash of each file.
lock: $(TOOLS)/.made
	$(TOOLS)/bin/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-header \
		--no-emit-find-links --no-emit-trusted-host --upgrade $(EXTRAS:%=--extra %) --output-file $(LOCK) setup.cfg
	@sed -i '1i # Made by `make lock` from setup.cfg: what continuous integration installs. Do not edit.' $(LOCK)

# Known vulnerabilities of what the lock names: exit code 1 when there is one. What could not be asked is said.
audit: $(TOOLS)/.made
	@$(TOOLS)/bin/python packaging/audit.py $(LOCK)

# What a user installs, as a CycloneDX list of components with licences and hashes.
sbom: $(TOOLS)/.made
	@packaging/build-sbom '$(BIN)/python' '$(TOOLS)/bin' '$(DIST)'

release: wheel deb sbom

# The program and the packages that it needs go into one private directory; nothing is put into the system's Python.
install: $(VENV)/.run
	packaging/install-program '$(BIN)/python' '$(PREFIX)' '$(DESTDIR)'

deb: $(VENV)/.run
	@packaging/build-deb '$(BIN)/python' '$(DIST)'

.PHONY: packages-check
packages-check: packages-test
	@$(MAKE) --no-print-directory deb DIST=build/check
	$(BIN)/python -m tests.packaging.replacement build/check/*.deb

wheel: $(VENV)/.dev
	@packaging/build-wheel '$(BIN)/python' '$(DIST)'

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
