# The one entrance to building, testing and checking. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 120
SOAK_KILLS ?= 200
STORM_CLIENTS ?= 10000
CLIENTS := tests/clients
JAVASCRIPT := clients/javascript
DASHBOARD := tests/dashboard
CHROMIUM := /usr/bin/chromium
STATIC_TARGETS ?= x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf
STATIC_TOOLS := target/static-tools

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@command -v cargo >/dev/null || $(MAKE) --no-print-directory cargo

.PHONY: build
build: cargo ## Build the release binary, target/release/kinglet.
	cargo build --release --locked

# musl, so that nothing of the machine is needed. zig is the C compiler for SQLite and ring and the
# linker, for every target; it and cargo-zigbuild come from PyPI. The library of each target comes from
# rustup, which need not have it: then it is built from source (rust-src), and zig has what starts a
# program.
.PHONY: static
static: cargo ## Build static binaries for STATIC_TARGETS (x86_64, aarch64, armv7).
	@for tool in rustup python3; do command -v $$tool >/dev/null \
	    || { echo "$$tool is missing (apt-get install rustup python3-venv)" >&2; exit 1; }; done; \
	[ -x $(STATIC_TOOLS)/bin/cargo-zigbuild ] || { python3 -m venv --clear $(STATIC_TOOLS) \
	    && $(STATIC_TOOLS)/bin/pip install --quiet --disable-pip-version-check \
	    cargo-zigbuild==0.24.0 ziglang==0.17.0; }; \
	export PATH="$$PWD/$(STATIC_TOOLS)/bin:$$PATH"; failed=; \
	for target in $(STATIC_TARGETS); do \
	    build=(cargo zigbuild --release --locked --bin kinglet --target $$target); \
	    if ! rustup target add $$target >/dev/null 2>&1; then \
	        if [ ! -d "$$(rustc --print sysroot)/lib/rustlib/src/rust/library" ] \
	            && ! rustup component add rust-src >/dev/null 2>&1; then \
	            echo "NOT BUILT: $$target, because rustup has neither its library nor rust-src"; \
	            failed=1; continue; \
	        fi; \
	        build=(env RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Clink-self-contained=no "$${build[@]}" \
            -Zbuild-std=std,panic_unwind); \
	    fi; \
	    echo "$${build[*]}"; "$${build[@]}"; \
	    ls -l "$${CARGO_TARGET_DIR:-target}/$$target/release/kinglet"; \
	done; [ -z "$$failed" ]

.PHONY: run
run: build ## Build the release binary and start it.
	target/release/kinglet serve

.PHONY: test
test: cargo ## Run every test; those with others' programs only where these are or can be installed.
	@$(npm_install); \
	$(install_javascript); \
	$(install_python); \
	for proxy in nginx caddy; do command -v $$proxy >/dev/null \
	    || echo "SKIPPED: the tests behind $$proxy, because it is not installed"; done; \
	command -v redis-server >/dev/null || echo 'SKIPPED: the tests of emitters, because redis-server is' \
	    'not installed (apt-get install redis-server)'; \
	runner=(cargo test); every=(--lib --bins --tests); \
	if cargo nextest --version >/dev/null 2>&1; then runner=(cargo nextest run); every=(); fi; \
	echo "$${runner[*]} --locked"; "$${runner[@]}" --locked "$${every[@]}"; \
	echo 'the same over sockets, with two reactors:'; \
	KINGLET_TEST_REACTORS=2 "$${runner[@]}" --locked --test sockets --test socketio; \
	echo 'everything at once, over TLS:'; \
	KINGLET_TEST_TLS=1 "$${runner[@]}" --locked --test pairs whatever_happens; \
	[ -x $(CHROMIUM) ] || echo 'SKIPPED: the dashboard and the JavaScript client in a browser, because there is no' \
	    '$(CHROMIUM) (apt-get install chromium)'; \
	export KINGLET_TEST_BINARY=$$(realpath "$${CARGO_TARGET_DIR:-target}/debug/kinglet"); \
	script=test; $(run_javascript); folder=$(DASHBOARD); what='the dashboard'; $(run_npm)
	cargo test --locked --doc

# Defines npm_install FOLDER, which installs what the folder's lock file says, unless it is there
# already, or sets `skip` to why it cannot.
define npm_install
npm_install() { \
    skip=; \
    if ! command -v npm >/dev/null; then skip='npm is not installed (apt-get install npm)'; return; fi; \
    [ ! $$1/node_modules/.package-lock.json -nt $$1/package-lock.json ] || return 0; \
    echo "npm ci --prefix $$1"; \
    if output=$$(cd "$$1" && npm ci --no-audit --no-fund 2>&1); then :; \
    elif grep -qE 'ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH' <<<"$$output"; \
    then skip='the npm registry is out of reach'; \
    else printf '%s\n' "$$output" >&2; exit 1; fi; \
}
endef

# Exports KINGLET_TEST_CLIENTS, the folder with the installed JavaScript clients, or leaves it unset
# and says why; the tests that need them are then skipped.
define install_javascript
unset KINGLET_TEST_CLIENTS; npm_install $(CLIENTS); \
if [ -z "$$skip" ]; then export KINGLET_TEST_CLIENTS="$$PWD/$(CLIENTS)"; \
else echo "SKIPPED: the tests with JavaScript clients, because $$skip"; fi
endef

# Runs a script of our own JavaScript client where its tools are there.
define run_javascript
folder=$(JAVASCRIPT); what='the JavaScript client'; $(run_npm)
endef

# The same for `folder`, which holds `what`.
define run_npm
npm_install $$folder; \
if [ -z "$$skip" ] && ! node --eval 'process.exit(+(parseInt(process.versions.node) < 20))'; \
then skip='node is older than 20'; fi; \
if [ -n "$$skip" ]; then echo "SKIPPED: $$what, because $$skip"; \
else echo "npm run $$script --prefix $$folder"; (cd $$folder && npm run --silent $$script); fi
endef

# The same for KINGLET_TEST_PYTHON, an interpreter that finds the Python clients.
define install_python
unset KINGLET_TEST_PYTHON; skip=; python=$(CLIENTS)/.venv/bin/python; \
if ! command -v python3 >/dev/null; then skip='python3 is not installed (apt-get install python3-venv)'; \
elif ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; \
then skip='python3 is older than 3.11'; \
elif ! $$python -m pip --version >/dev/null 2>&1 \
    && ! output=$$(python3 -m venv --clear $(CLIENTS)/.venv 2>&1); then \
    if grep -q ensurepip <<<"$$output"; \
    then skip='python3 cannot make a venv (apt-get install python3-venv)'; \
    else printf '%s\n' "$$output" >&2; exit 1; fi; \
else \
    pip=(pip install --quiet --disable-pip-version-check --retries 1 --no-deps --require-hashes \
        --requirement $(CLIENTS)/requirements.txt); \
    old=("$${pip[@]/requirements.txt/pickles.txt}" --upgrade --target $(CLIENTS)/.venv/pickles); \
    echo "$$python -m $${pip[*]}"; \
    if output=$$($$python -m "$${pip[@]}" 2>&1 && $$python -m "$${old[@]}" 2>&1); then export KINGLET_TEST_PYTHON="$$PWD/$$python"; \
    elif grep -q 'connection broken by' <<<"$$output"; then skip='PyPI is out of reach'; \
    else printf '%s\n' "$$output" >&2; exit 1; fi; \
fi; \
[ -z "$$skip" ] || echo "SKIPPED: the tests with Python clients, because $$skip"
endef

# The CLI is 380 MB, and so not for every run of the tests. Its package for this machine has the
# program in it, whether npm runs install scripts or not.
.PHONY: claude
claude: cargo ## Run the tests with the Claude CLI itself (installs it, 380 MB; needs no account).
	@$(npm_install); npm_install $(CLIENTS)/claude; \
	if [ -n "$$skip" ]; then echo "SKIPPED: the Claude CLI, because $$skip"; exit; fi; \
	for program in $(CLIENTS)/claude/node_modules/@anthropic-ai/claude-code-*/claude; do \
	    if "$$program" --version >/dev/null 2>&1; \
	    then export KINGLET_TEST_CLAUDE=$$(realpath "$$program"); fi; done; \
	cargo test --locked --test claude_cli

.PHONY: lint
lint: cargo ## Check format, lints, the documentation and the types of the JavaScript client.
	cargo fmt --check
	cargo clippy --locked -- -D warnings
	cargo clippy --locked --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --all-features
	@$(npm_install); script=lint; $(run_javascript)

.PHONY: bench
bench: cargo ## Run the benchmarks.
	cargo bench --locked

.PHONY: soak
soak: cargo ## kill -9 SOAK_KILLS (200) times, 10,000 runs, then everything hostile for SOAK_SECONDS (120).
	for durability in process power; do \
	    KINGLET_TEST_KILLS=$(SOAK_KILLS) KINGLET_TEST_DURABILITY=$$durability \
	    cargo test --locked --test durable killed -- --nocapture; done
	KINGLET_TEST_SOAK=1 cargo test --locked --test runs -- --nocapture many crashes::
	SOAK_SECONDS=$(SOAK_SECONDS) cargo bench --locked --bench soak

.PHONY: storm
storm: cargo ## kill -9 the server under STORM_CLIENTS (10000) subscribers, who come back.
	ulimit -n $$(ulimit -Hn); KINGLET_TEST_STORM=$(STORM_CLIENTS) \
	cargo test --release --locked --test bench a_storm_of -- --nocapture

.PHONY: rivals
rivals: build ## Measure kinglet and other servers in turns (ROUNDS, SECONDS, MINUTES).
	@python3 benches/rivals/run.py

.PHONY: fuzz
fuzz: cargo ## Fuzz each target for FUZZ_SECONDS (60).
	@shopt -s nullglob; targets=(fuzz/fuzz_targets/*.rs); \
	if [ $${#targets[@]} = 0 ]; then echo 'there are no fuzz targets' >&2; exit 1; fi; \
	cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz; \
	fuzz=(env RUSTC_BOOTSTRAP=1 cargo fuzz); \
	if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then fuzz=(cargo +nightly fuzz); fi; \
	for target in "$${targets[@]}"; do \
	    target=$$(basename "$$target" .rs); echo "== fuzzing $$target for $(FUZZ_SECONDS) s"; \
	    "$${fuzz[@]}" run "$$target" -- -max_total_time=$(FUZZ_SECONDS); \
	done

.PHONY: check
check: lint test ## Everything that must be green before a commit.

# Building needs cargo, and a C compiler for the assembly in `ring`.
.PHONY: cargo
cargo:
	@if ! command -v cargo >/dev/null; then \
	    echo 'cargo is missing. On Debian 13 and later:'; \
	    echo '  apt-get install rustup build-essential && rustup default stable'; \
	    echo 'Elsewhere: a C compiler, and Rust by https://rustup.rs'; exit 1; \
	fi >&2
