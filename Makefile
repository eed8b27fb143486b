# Makefile - the front door. `make help` says what there is.
#
# This file never runs a compiler or pkg-config while it is read, so it works
# on a machine that has only git and make: make/deps looks for what a target
# needs (and fetches it through apt for demo, test, lint and deps); then
# make/build.mk, which holds the real rules, builds one flavour.

FLAVOUR ?= release
V       ?= 0
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX  ?= /usr/local
export V PREFIX DESTDIR LIBDIR

# A jobserver that the caller brought is used; else we start our own.
BUILD = $(MAKE) --no-print-directory -f make/build.mk \
        $(if $(findstring j,$(filter -j% --jobserver%,$(MAKEFLAGS))),,-j$(JOBS))

# The fuzz targets need clang's fuzzer. Where that can be neither found nor
# fetched, tests repeat the corpus with gcc's programs alone.
FUZZ = make/deps --try fuzz && make/deps --try fuzz && \
       { ! make/deps --check fuzz >/dev/null 2>&1 || \
         $(BUILD) FLAVOUR=fuzz CC=clang fuzz; }

.PHONY: all demo test test-compose fault check-all lint format bench \
        bench-parts bench-deps install clean deps help house
.DEFAULT_GOAL := all

all: ## build everything of one flavour: make [FLAVOUR=debug] [V=1]
	@make/deps --check build
	@$(BUILD) FLAVOUR=$(FLAVOUR) all

demo: ## the bun kitchen: a broker, three cooks, two eaters
	@make/deps build
	@$(BUILD) FLAVOUR=release programs
	@build/baozi demo

test: ## all that a change needs, some minutes
	@make/deps test
	@$(BUILD) FLAVOUR=release all tests examples
	@$(BUILD) FLAVOUR=asan programs tests
	@$(BUILD) FLAVOUR=planted planted
	@$(FUZZ)
	@make/suite test

test-compose: ## the bun kitchen in real containers, some of them hurt
	@tests/compose/run.py

fault: ## the whole fault matrix: kills, power cuts, floods, crowds, a soak
	@make/deps test
	@$(BUILD) FLAVOUR=release all tests
	@$(BUILD) FLAVOUR=asan programs tests
	@$(BUILD) FLAVOUR=planted planted
	@make/suite fault

check-all: ## make test, then threads, longer seeds, counted instructions
	@make/deps test check
	@$(BUILD) FLAVOUR=release all tests examples bench
	@$(BUILD) FLAVOUR=asan all tests
	@$(BUILD) FLAVOUR=tsan all tests
	@$(BUILD) FLAVOUR=planted planted
	@$(FUZZ)
	@make/suite check-all

house: ## only the house rules (layout, includes, words), in seconds
	@make/deps test
	@$(BUILD) FLAVOUR=release all
	@make/suite house

lint: ## clang-format, clang-tidy, cppcheck, gcc -fanalyzer, house rules
	@make/deps lint
	@$(BUILD) FLAVOUR=release all
	@make/lint

format: ## clang-format over all C files, in place
	@make/deps lint
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

bench: ## baozi beside its rivals and limits, four minutes; FULL=1: all
	@make/deps build
	@$(BUILD) FLAVOUR=release all compare bench
	@/usr/bin/python3 tests/bench/compare/compare.py $(if $(FULL),--full)

bench-parts: ## core and wire alone; figures on stdout
	@make/deps build
	@$(BUILD) FLAVOUR=release all bench
	@make/suite bench-parts

bench-deps: ## fetch the rivals that make bench measures, through apt
	@make/deps bench

install: ## into DESTDIR/PREFIX (default /usr/local)
	@make/deps --check build
	@$(BUILD) FLAVOUR=release install

deps: ## fetch all that any target needs, through apt
	@make/deps build test lint
	@make/deps --try fuzz && make/deps --try fuzz

clean: ## remove build/
	@rm -rf build

help: ## this list
	@echo "baozi: a work-queue broker. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | \
	    awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo "Flavours: release debug asan tsan cover fuzz planted."
