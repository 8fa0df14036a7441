# Thin on purpose: each target names the script or the build that does the work.
# Meson is the build system; the builds live in build/ and build-*/.
.DEFAULT_GOAL := build
.PHONY: build demo test chaos bench plots asan tsan fuzz tidy lint format clean help

PYTHON := /usr/bin/python3
SECONDS ?= 60
ROUNDS ?= 12

build: ## the release build: build/holdfast
	@scripts/install-deps build
	@scripts/build release

demo: ## a shop on three servers behind the proxy, one of which dies (DEMO_EXIT=1: do not stay up)
	@scripts/install-deps demo
	@scripts/build release
	@scripts/demo

test: ## everything; closes with the line "N passed, N failed"
	@scripts/install-deps test
	@$(PYTHON) scripts/test-all

chaos: ## the fault campaigns of the session fabric, all of them, ROUNDS=12 seeds each
	@scripts/install-deps test
	@scripts/build release
	@CHAOS_LONG=1 CHAOS_ROUNDS=$(ROUNDS) $(PYTHON) -m pytest -q -p no:cacheprovider tests/chaos

bench: ## side by side with Debian's haproxy, nginx and redis-server; writes build/bench.json
	@scripts/install-deps bench
	@scripts/build release
	@bench/run

plots: ## the pictures and reports of docs/balancing.md, drawn anew
	@scripts/install-deps build
	@scripts/build release
	@scripts/plots

asan tsan: ## that sanitizer's build, and the unit tests under it
	@scripts/install-deps test
	@$(PYTHON) scripts/test-all unit-$@

fuzz: ## each fuzz target for SECONDS=60
	@scripts/install-deps fuzz
	@SECONDS=$(SECONDS) fuzz/run

tidy: ## the rules of the house, over the whole tree
	@scripts/install-deps test
	@$(PYTHON) tests/tidy/tidy.py

lint: ## clang-tidy over the whole tree
	@scripts/install-deps test lint
	@scripts/build clang
	@scripts/lint

format: ## clang-format, in place
	@scripts/install-deps lint
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

clean: ## every build folder
	rm -rf build build-*

help: ## this list
	@sed -n 's/^\([a-z ]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
