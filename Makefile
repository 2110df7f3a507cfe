# Thin: every target says in a line what it does and hands over to CMake, CTest, pytest or a script in tools/.
# `make` builds the release into build/release, programs in build/release/bin; `make help` lists the rest.

SEED ?= 1
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
SOAK_ROWS ?= 100000
PYTHON ?= /usr/bin/python3
PYTEST_ARGS ?=
BIN := build/release/bin

.PHONY: release dev setup install demo test units coverage e2e bench lint format asan tsan valgrind fuzz soak clean help
.DEFAULT_GOAL := release

# Configured once; afterwards the build itself notices changed CMake files.
define build
	@[ -f build/$(1)/build.ninja ] || { echo "== configure $(1)"; cmake --preset $(1) -Wno-dev >build/.configure-$(1).log 2>&1 || \
		{ cat build/.configure-$(1).log; exit 1; }; }
	@echo "== build $(1)"
	@cmake --build --preset $(1)
endef

build:
	@mkdir -p build

release: | build
	$(call build,release)

dev: | build
	$(call build,dev)

setup:
	@tools/setup test

install: release
	cmake --install build/release --prefix $(PREFIX)

demo: | build
	@echo "== packages"
	@tools/setup build
	@$(MAKE) --no-print-directory release
	@SEED=$(SEED) tools/demo

# One recipe, so that the order holds under -j too.
test: | build
	@echo "== packages"
	@tools/setup test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory units
	@$(MAKE) --no-print-directory coverage
	@$(MAKE) --no-print-directory release
	@$(MAKE) --no-print-directory e2e
	@$(MAKE) --no-print-directory asan
	@echo "== all tests passed"

units: dev
	@echo "== units and scenarios (ctest)"
	@ctest --preset dev --no-tests=error

coverage: | build
	$(call build,coverage)
	@echo "== what the scenarios alone take of worker/core (gcov)"
	@tools/coverage

e2e:
	@echo "== end to end (pytest: embedded defaults, a real Kafka, PostgreSQL, Postfix, Exim, OpenSMTPD; kill -9)"
	@PATH="$(CURDIR)/$(BIN):$$PATH" PYTHON=$(PYTHON) tools/e2e $(PYTEST_ARGS)

bench: | build
	@tools/setup test
	@$(MAKE) --no-print-directory release
	@tests/bench/run

# The same test that make test runs with 10,000 addresses; some minutes.
soak: | build
	@tools/setup test
	@$(MAKE) --no-print-directory release
	@echo "== soak: $(SOAK_ROWS) addresses in a world of every behaviour"
	@PATH="$(CURDIR)/$(BIN):$$PATH" ROLLCALL_SOAK_ROWS=$(SOAK_ROWS) $(PYTHON) -m pytest -q tests/e2e/test_every_behaviour.py $(PYTEST_ARGS)

lint:
	@echo "== lint"
	@tools/lint

format:
	@git ls-files '*.c' '*.h' | xargs -r $$(command -v clang-format-14 || echo clang-format) -i

# librdkafka, libpq and the rest are Debian's builds: what they do inside is watched by valgrind only.
asan tsan: | build
	$(call build,$@)
	@echo "== $@: units, scenarios and replays (ctest)"
	@ctest --preset $@ --no-tests=error -j2 -E '^mailworld\.'
	@echo "== $@: the whole system in short (pytest -m short)"
	@ROLLCALL_TEST_BUILD="$(CURDIR)/build/$@" PATH="$(CURDIR)/build/$@/bin:$$PATH" $(PYTHON) -m pytest -q -m short tests/e2e $(PYTEST_ARGS)

valgrind: | build
	@command -v valgrind >/dev/null || tools/setup test
	$(call build,$@)
	@echo "== valgrind: units, scenarios and replays (ctest), in 3 to 5 minutes"
	@ctest --preset $@ --no-tests=error -j2

fuzz: | build
	$(call build,fuzz)
	@for target in build/fuzz/tests/fuzz/*_fuzz build/fuzz/tests/*_fuzz build/fuzz/bin/*_fuzz; do \
		[ -x "$$target" ] || continue; name=$$(basename $$target _fuzz); \
		echo "== fuzz $$name for $(FUZZ_SECONDS) s"; mkdir -p build/fuzz/corpus/$$name; \
		"$$target" -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 build/fuzz/corpus/$$name \
			$$( [ -d tests/fuzz/corpus/$$name ] && echo tests/fuzz/corpus/$$name ) || exit 1; \
	done

clean:
	rm -rf build

help:
	@echo 'make            the release build: programs in $(BIN)'
	@echo 'make demo       installs what is missing, then verifies 10,000 addresses of a simulated mail internet (SEED=n)'
	@echo 'make test       installs what is missing, then runs every test'
	@echo 'make coverage   what the scenarios alone take of worker/core; fails below 90 % of lines, 80 % of branches'
	@echo 'make bench      the figures, side by side'
	@echo 'make soak       SOAK_ROWS=$(SOAK_ROWS) addresses in a simulated mail internet where every behaviour goes on at once'
	@echo 'make setup      installs the Debian packages of packages.txt that are missing'
	@echo 'make install    into PREFIX=$(PREFIX) (DESTDIR is honoured)'
	@echo 'make lint       house rules: includes, strata, warnings;  make format  formats the C'
	@echo 'make asan       units, scenarios and a short run of the whole under AddressSanitizer and UBSan; part of make test'
	@echo 'make tsan       the same under ThreadSanitizer;  make valgrind  units and scenarios under memcheck'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make clean      removes build/'
