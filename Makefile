# SPDX-License-Identifier: Apache-2.0
# make            build/chaosd
# make demo       the etcd leader drill, end to end (installs what is missing)
# make check      every test, ends in "N passed, N failed, N skipped" (installs what is missing)
# make check-asan the same under AddressSanitizer and UBSan      make valgrind  a short drill under valgrind
# make bench      chaosd beside wrk, h2load, hey and bare libcurl: ratios, lateness, memory, judging; network faults, beside ip and tc (half an hour)
# make truth      known outages against what chaosd says of them   make quiet  nothing is broken, so nothing may be claimed
# make lab        what needs netem, under Debian's kernel in QEMU; `make check` does it by itself where this kernel has none
# make crash      kill -9 of agent, kubelet, API server and run, 100 times in a real Kubernetes, and what is left (40 minutes)
# make e2e        a real Kubernetes, real pods (the first time some 5 minutes more: it is compiled from Debian's source and cached)
# make deps       missing Debian packages only                    make install   DESTDIR= PREFIX=/usr/local
# SAN=1, CC=clang, B=dir, V=1 change how and where it is built.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:

VERSION := 0.1.0
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
PREFIX ?= /usr/local
DESTDIR ?=
SAN ?=
V ?=
Q := $(if $(V),,@)
B ?= build$(if $(SAN),/asan)

PKGS := libcurl jansson libnl-3.0 libnl-route-3.0 yaml-0.1 sqlite3 libbpf
# What pkg-config says, found out by make itself only when something is built: `make deps` runs without it. libev brings no .pc file.
pkg_cflags = $(shell pkg-config --cflags $(PKGS))
pkg_libs = $(shell pkg-config --libs $(PKGS)) -lev -lm

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Werror
CFLAGS ?= -O2 -g
, := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(,)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -DCHAOSD_VERSION='"$(VERSION)"' $(CFLAGS) $(SANFLAGS) $(WARN) -Ichaosd -Inetem -I$(B)/gen $(pkg_cflags)
ALL_LDFLAGS = $(LDFLAGS) $(SANFLAGS)

PROGRAM_SRC := chaosd/main.c $(wildcard chaosd/cmd_*.c)
LIB_SRC := $(filter-out $(PROGRAM_SRC),$(sort $(wildcard chaosd/*.c chaosd/*/*.c)))
NETEM_SRC := $(filter-out %.bpf.c,$(sort $(wildcard netem/*.c)))
PROGRAM_OBJ := $(PROGRAM_SRC:%.c=$(B)/obj/%.o)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o)
NETEM_OBJ := $(NETEM_SRC:%.c=$(B)/obj/%.o)
LIBS := $(B)/libchaosd.a $(B)/libnetem.a
UNIT := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/unit/test_*.c)))
NET := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/net/test_*.c)))
TRUTHD := $(B)/tests/truth/truthd
KUBEPROBE := $(B)/tests/kube/kubeprobe
BENCH := $(B)/tests/bench/ceiling $(B)/tests/bench/history $(B)/tests/bench/netem
FUZZ := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZING ?=
# With FUZZING libFuzzer drives the targets, else a main that replays their corpora.
FUZZ_MAIN := $(if $(FUZZING),,$(B)/obj/tests/fuzz/replay.o)

.PHONY: ci bench-kube lab e2e crash truth quiet seeds screenshots bench bench-netem bench-programs all deps deps-build deps-demo deps-check deps-fuzz deps-bench deps-kube words fuzz fuzz-programs demo check check-asan valgrind test-programs install clean
all: $(B)/chaosd

# The flags are part of what is built: a change of compiler or flags rebuilds.
$(B)/flags: FORCE
	@mkdir -p $(B); printf '%s\n' '$(CC) $(CFLAGS) $(SANFLAGS) $(WARN) $(VERSION)' | cmp -s - $@ || printf '%s\n' '$(CC) $(CFLAGS) $(SANFLAGS) $(WARN) $(VERSION)' >$@
.PHONY: FORCE
FORCE:

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(Q)echo "  CC $<"; $(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The page's own files and dygraphs go in as they are.
DYGRAPHS_DIR ?= /usr/share/javascript/dygraphs
$(B)/obj/chaosd/report/html_assets.o: $(wildcard chaosd/report/html/*) $(wildcard $(DYGRAPHS_DIR)/dygraph.min.js)
$(B)/obj/chaosd/report/html_assets.o: ALL_CFLAGS += -DDYGRAPHS_DIR='"$(DYGRAPHS_DIR)"'

$(B)/libchaosd.a: $(LIB_OBJ)
	@rm -f $@; ar rcs $@ $^

$(B)/libnetem.a: $(NETEM_OBJ)
	@rm -f $@; ar rcs $@ $^

# The classifier in the kernel: compiled by clang for BPF, carried in the program as bytes. It asks nothing of the kernel's headers or BTF.
BPF_CLANG ?= clang
$(B)/gen/classify.bpf.o: netem/classify.bpf.c netem/classify.h
	@mkdir -p $(@D)
	$(Q)echo "  BPF $<"; $(BPF_CLANG) -O2 -g -target bpf -Wall -Wextra -Werror -I/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null) -c $< -o $@

# bpftool is in sbin, which a user's PATH may lack.
$(B)/gen/classify.skel.h: $(B)/gen/classify.bpf.o
	$(Q)PATH="$$PATH:/usr/sbin:/sbin" bpftool gen skeleton $< name classify >$@
$(B)/obj/netem/program.o: $(B)/gen/classify.skel.h

$(B)/chaosd: $(PROGRAM_OBJ) $(LIBS)
	$(Q)echo "  LD $@"; $(CC) $(ALL_LDFLAGS) $(PROGRAM_OBJ) $(LIBS) -o $@ $(pkg_libs)

$(UNIT) $(NET) $(B)/tests/bench/netem: $(B)/%: $(B)/obj/%.o $(LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(LIBS) -o $@ $(pkg_libs) -lcmocka

$(TRUTHD): $(B)/obj/tests/truth/truthd.o
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $< -o $@

$(KUBEPROBE): $(B)/obj/tests/kube/kubeprobe.o $(B)/libchaosd.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(B)/libchaosd.a -o $@ $(pkg_libs)

$(B)/tests/bench/ceiling: $(B)/obj/tests/bench/ceiling.o
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $< -o $@ $(pkg_libs)

$(B)/tests/bench/history: $(B)/obj/tests/bench/history.o $(B)/libchaosd.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(B)/libchaosd.a -o $@ $(pkg_libs)

$(FUZZ): $(B)/%: $(B)/obj/%.o $(FUZZ_MAIN) $(LIBS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(if $(FUZZING),-fsanitize=fuzzer) $< $(FUZZ_MAIN) $(LIBS) -o $@ $(pkg_libs)

test-programs: $(B)/chaosd $(UNIT) $(NET) $(FUZZ) $(TRUTHD) $(KUBEPROBE) $(BENCH)
bench-programs: $(B)/chaosd $(BENCH) $(filter %/test_netem_shape %/test_netem_share %/test_netem_deadline %/test_netem_others %/test_netem_kill9,$(NET))
fuzz-programs: $(FUZZ)

# A minute of libFuzzer for each target; `make check` replays the corpora.
fuzz: deps-fuzz
	@$(MAKE) --no-print-directory -j$$(nproc) B=build/fuzz CC=clang SAN=1 FUZZING=1 CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' fuzz-programs
	@bash tests/fuzz/run.sh build/fuzz

# The texts that are generated from the schema and option rows; a test fails when they are stale.
words: all
	@mkdir -p deploy/completion
	$(B)/chaosd __words schema >scenarios/schema.json
	$(B)/chaosd __words scenarios >docs/SCENARIOS.md
	$(B)/chaosd __words man >docs/chaosd.1
	$(B)/chaosd __words bash >deploy/completion/chaosd.bash

deps: deps-check
deps-build deps-demo deps-check deps-fuzz deps-bench deps-kube: deps-%:
	@bash tests/lab/deps.sh $*

# A second make: pkg-config may have come with the packages.
demo: deps-demo
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@bash tests/e2e/demo.sh $(B)/chaosd

check: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@B=$(B) bash tests/run.sh

# Both, with one count: what .ci/run runs. The kubernetes is built (once, cached) before anything is measured.
ci: deps-check deps-kube
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs $(KUBEPROBE)
	@bash tests/lab/kube-build.sh >/dev/null
	@B=$(B) bash tests/run.sh unit fuzz net e2e valgrind netem+kube

check-asan: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) SAN=1 test-programs
	@B=$(B)/asan SAN=1 bash tests/run.sh

valgrind: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@B=$(B) bash tests/run.sh valgrind

# Beside its peers, as ratios. BENCH_OPTIONS="--only lateness --late-seconds 60"; docs/BENCH.md says what is compared.
bench: deps-bench
	@$(MAKE) --no-print-directory -j$$(nproc) bench-programs
	@B=$(B) python3 tests/bench/bench.py --json $(B)/bench.json $(BENCH_OPTIONS)

# 6,000 known outages, under 20 minutes; 50 quiet runs of a minute, ten at a time. OUT=FILE: the table as JSON too.
OUT ?=
truth: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@CHAOSD=$(abspath $(B)/chaosd) B=$(abspath $(B)) python3 tests/truth/harness.py $(if $(OUT),--json $(OUT))

quiet: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@CHAOSD=$(abspath $(B)/chaosd) B=$(abspath $(B)) python3 tests/truth/quiet.py $(if $(OUT),--json $(OUT))

# Network faults alone: what they reach and cost, here and in the lab.
bench-netem: BENCH_OPTIONS += --only netem
bench-netem: bench

# What following a Kubernetes costs, beside kubectl.
bench-kube: deps-kube
	@$(MAKE) --no-print-directory -j$$(nproc) all $(KUBEPROBE)
	@bash tests/lab/kube-build.sh >/dev/null
	@B=$(B) python3 tests/bench/kube.py

# What this kernel may not be able to do, under Debian's in QEMU.
lab: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) test-programs
	@B=$(B) bash tests/run.sh lab

# A real Kubernetes, as root: tests/lab/kube.sh says how to look around in one. Once more with its nodes under Debian's kernel in QEMU, where this one has no netem.
e2e: deps-kube
	@$(MAKE) --no-print-directory -j$$(nproc) all $(KUBEPROBE)
	@bash tests/lab/kube-build.sh >/dev/null
	@B=$(B) bash tests/run.sh kube kube-netem

# CHAOSD_CRASH_ROUNDS=N CHAOSD_CRASH_SEED=N: so many, the same again. OUT=FILE: the table as JSON too.
crash: deps-kube
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@bash tests/lab/kube-build.sh >/dev/null
	@CHAOSD=$(abspath $(B)/chaosd) B=$(abspath $(B)) OUT=$(if $(OUT),$(abspath $(OUT))) CHAOSD_CRASH_ROUNDS=$${CHAOSD_CRASH_ROUNDS:-100} python3 tests/kube/test_agent_crash.py

# Every scenario with five seeds (SEEDS="1 2 3"): half an hour.
seeds: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@bash tests/e2e/seeds.sh $(B)/chaosd

# The picture of the README, from the newest run (RUN=DIR: another).
RUN ?= runs/latest
screenshots: all
	@$(B)/chaosd report $(RUN) >/dev/null || [ $$? -le 4 ]
	@python3 tests/lab/screenshots.py $(RUN)/report.html docs/pictures

install: all
	install -D -m 0755 $(B)/chaosd $(DESTDIR)$(PREFIX)/bin/chaosd
	install -d $(DESTDIR)$(PREFIX)/share/chaosd/scenarios
	install -m 0644 $(wildcard scenarios/*.yaml) $(DESTDIR)$(PREFIX)/share/chaosd/scenarios/
	install -m 0644 scenarios/schema.json $(DESTDIR)$(PREFIX)/share/chaosd/
	install -D -m 0644 docs/chaosd.1 $(DESTDIR)$(PREFIX)/share/man/man1/chaosd.1
	install -D -m 0644 deploy/completion/chaosd.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/chaosd
	install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/chaosd/LICENSE
	install -m 0644 README.md $(wildcard docs/*.md) $(DESTDIR)$(PREFIX)/share/doc/chaosd/

clean:
	rm -rf build

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
