# Everything here sets itself up: a virtual environment in .venv, the wheel in dist/.
# On a fresh machine Rust, Python with its venv module, and make are enough.

PYTHON ?= python3
MATRIX_TESTS ?= tests/connect
SOAK_TESTS ?= tests
SOAK_CASES ?= 2000000
FUZZ_RUNS ?= 3400000
# More than the two cores of CI: a test waits for Ray more than it works. Each worker has Ray heads
# of its own, of 400 MB each.
TEST_WORKERS ?= 3
PYTEST_ARGS ?=
# Nothing: what can be built here. A release says all, and fails where one is missing.
WHEEL_TARGETS ?=

VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(VENV)/requirements.stamp
# The folder holds one wheel, so that what is tested is what was built.
WHEELS := dist/test
BUILT := $(WHEELS)/built.stamp
INSTALLED := $(VENV)/installed.stamp
wheel_file = $(firstword $(wildcard $(WHEELS)/*.whl))

# rustup's cargo looks for its toolchains in HOME; where HOME is another one, beside itself.
ifeq (,$(shell cargo --version 2>/dev/null))
export RUSTUP_HOME ?= $(abspath $(dir $(shell command -v cargo))/../../.rustup)
endif
# A build of another environment must not reach in here.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find src -name '*.rs')
PACKAGE := pyproject.toml README.md LICENSE THIRD-PARTY-LICENSES.txt \
	release/build.py release/sbom.py \
	$(shell find python data -type f ! -name '*.so' ! -path '*/__pycache__/*')
PYTHON_SOURCES := python data/purelib tests benches chaos examples release

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help venv build develop demo test lint test-rust stubs docstrings promtool test-python \
	bench chaos chaos-network resilience soak fuzz architecture matrix wheel reproducible \
	licenses deny lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name what; do printf '%-14s %s\n' "$$name" "$$what"; done

venv: $(TOOLS) ## Make .venv with the pinned tools and Ray

$(TOOLS): requirements/test.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "make: $(PYTHON) is older than 3.10; say make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

build: $(INSTALLED) ## Build the release wheel and install it into .venv

$(BUILT): $(TOOLS) $(RUST_SOURCES) $(PACKAGE)
	rm -rf $(WHEELS)
	$(BIN)/python -m release --own --out $(WHEELS)
	@touch $@

# Only what the wheel holds is installed: tests see what users get.
$(INSTALLED): $(BUILT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index \
		--force-reinstall $(wheel_file)
	@touch $@

develop: $(TOOLS) ## Install editable from a debug build: quick, for work on the code
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --locked
	@rm -f $(INSTALLED)

demo: $(INSTALLED) ## Connect to a private Ray head as a user's program would
	$(BIN)/python examples/demo.py

test: lint test-rust stubs test-python ## All that CI checks

lint: $(TOOLS) ## rustfmt, clippy, ruff, mypy, and that imports point down
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets -- -D warnings
	cargo clippy --locked --quiet --all-targets --features python -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PYTHON_SOURCES)
	$(BIN)/python tests/imports.py
	cargo test --locked --quiet --test layers -- --nocapture

test-rust: ## The core, without a Python
	cargo test --locked

stubs: $(INSTALLED) ## Compare the stubs with the built module, docstrings too
	$(BIN)/python -m mypy.stubtest seedcore_ray._core
	$(BIN)/python tests/docstrings.py

docstrings: $(INSTALLED) ## Put the built module's docstrings into the stubs
	$(BIN)/python tests/docstrings.py --write
	$(BIN)/ruff format python/seedcore_ray/_core.pyi

# Unpacked, not installed: no server is started, and whoever is not root can do it too.
promtool: $(TOOLS) ## Fetch Debian's prometheus and promtool into .venv, where apt is
	@test -x $(BIN)/promtool || command -v promtool >/dev/null || ( \
		folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cd "$$folder" && \
		{ apt-get download -qq prometheus || \
			{ apt-get update -qq && apt-get download -qq prometheus; }; } && \
		dpkg-deb --extract prometheus_*.deb . && \
		cp usr/bin/prometheus usr/bin/promtool $(CURDIR)/$(BIN) \
	) >/dev/null 2>&1 || echo "make: no promtool could be fetched, what needs it is skipped"

test-python: $(INSTALLED) promtool ## pytest with a real Ray
	SEEDCORE_RAY_WHEEL=$(wheel_file) $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile \
		--no-loadscope-reorder $(PYTEST_ARGS)

# pytest's 5 is "no tests": there may be none that long in SOAK_TESTS.
soak: $(INSTALLED) fuzz ## The long runs that make test leaves out
	PROPTEST_CASES=$(SOAK_CASES) cargo test --locked --release --test core properties
	STORM_SERVICES=10000 cargo test --locked --release --test session storm -- --nocapture
	SEEDCORE_RAY_WHEEL=$(wheel_file) $(BIN)/python -m pytest -m soak $(PYTEST_ARGS) $(SOAK_TESTS) || \
		[ $$? -eq 5 ]

# Our code has no unsafe block for a sanitizer to watch: without one, twice as many inputs.
fuzz: ## cargo-fuzz on whatever parses foreign bytes, where nightly and cargo-fuzz are
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then \
		for target in address environment replies; do \
			cargo +nightly fuzz run --sanitizer none $$target -- -runs=$(FUZZ_RUNS) \
				-timeout=5 -max_len=4096 -print_final_stats=1 || exit 1; \
		done; \
	else \
		echo "not fuzzed: that needs rustup toolchain install nightly, and" \
			"cargo install --locked cargo-fuzz"; \
	fi

# A row that fails is written there, too.
bench: $(INSTALLED) ## Measure every number in the README, and write it there
	$(BIN)/python -m benches.bench; measured=$$?; $(BIN)/python -m benches.readme && exit $$measured

chaos: $(INSTALLED) ## Play bad days on real heads, and write docs/resilience.md
	$(BIN)/python -m chaos

chaos-network: $(INSTALLED) ## Of these, the days of several machines; needs root
	$(BIN)/python -m chaos network

resilience: chaos ## The same, after the document that it writes

architecture: $(TOOLS) ## Draw the imports as they are in ARCHITECTURE.md
	DRAW_ARCHITECTURE=1 cargo test --locked --quiet --test layers the_picture
	$(BIN)/python tests/imports.py --draw

matrix: $(BUILT) ## The contract's tests on older and newer Rays and Pythons
	$(BIN)/python tests/matrix.py $(wheel_file) $(MATRIX_TESTS)

wheel: $(TOOLS) ## Wheels for Linux and macOS, and the sdist, each checked and tried
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/wheel.txt
	$(BIN)/python -m release --out dist/release $(WHEEL_TARGETS)

reproducible: wheel ## Build these again in another place, and compare the bytes
	$(BIN)/python -m release.reproducible --first dist/release

licenses: ## Write THIRD-PARTY-LICENSES.txt, which the wheels ship
	@cargo about --version >/dev/null 2>&1 || { echo "make: install it first:" \
		"cargo install --locked --features cli cargo-about" >&2; exit 1; }
	cargo about generate --locked --features python --output-file THIRD-PARTY-LICENSES.txt about.hbs

deny: ## Licences, bans, sources and (with ADVISORIES=1) advisories of all crates
	@cargo deny --version >/dev/null 2>&1 || \
		{ echo "make: install it first: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny check --hide-inclusion-graph licenses bans sources
ifdef ADVISORIES
	cargo deny check advisories
else
	@echo "advisories not checked: their database is on GitHub; make deny ADVISORIES=1 asks it"
endif

lock: ## Pin requirements/*.in anew (needs uv)
	for name in test hosts wheel; do uv pip compile --quiet --universal --python-version 3.10 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" --upgrade \
		--output-file requirements/$$name.txt requirements/$$name.in || exit 1; done

clean: ## Remove everything that was made here
	cargo clean
	rm -rf $(VENV) .venv-matrix dist .pytest_cache .mypy_cache .ruff_cache
	find python tests benches chaos examples data release -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f python/seedcore_ray/*.so
