# build.mk - builds one flavour into build/FLAVOUR/; the Makefile calls it.
#
# Everything is found by wildcard: a new .c file in a room is built the next
# time. Objects carry -fPIC, so that one set serves programs, tests, libbaozi.a
# and libbaozi.so. Programs are linked with libbaozi.a, examples with the .so.

FLAVOUR ?= release
B       := build/$(FLAVOUR)
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' $(1) $(2))

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all programs library plugins sim planted tests examples bench
.PHONY: compare fuzz
.PHONY: install
.DEFAULT_GOAL := all

include make/flags.mk
include make/rooms.mk

# --- rooms ------------------------------------------------------------------
source   = $(wildcard $(1)/*.c)
object   = $(patsubst %.c,$(B)/obj/%.o,$(1))
# A room's sources without the one that holds main(): tests link those.
no_main  = $(filter-out $(shell grep -l '^int main\>' /dev/null $(1)),$(1))

COMMON   := $(call source,common)
CORE     := $(call source,broker/core)
LIBTEST  := $(call source,tests/lib)
ROOMS    := $(foreach room,broker worker producer cli,\
              $(if $(call source,$(room)),$(room)))
PROGRAM_broker := baozi-broker
PROGRAM_worker := baozi-worker
PROGRAM_producer := baozi-producer
PROGRAM_cli := baozi

PROGRAMS := $(foreach room,$(ROOMS),$(B)/bin/$(PROGRAM_$(room)))
PLUGINS  := $(patsubst worker/plugins/%.c,$(B)/plugins/%.so,\
              $(call source,worker/plugins))
LIBRARY  := $(if $(COMMON),$(B)/libbaozi.a $(B)/libbaozi.so)
UNIT     := $(patsubst %.c,$(B)/%,\
              $(wildcard tests/unit/test_*.c tests/thread/test_*.c))
STORY    := $(if $(call source,tests/core),$(B)/tests/core/stories)
SIM      := $(if $(call source,tests/sim),$(B)/tests/sim/sim)
EXAMPLES := $(patsubst %.c,$(B)/%,$(call source,tests/examples))
# Fuzz targets: fuzz_NAME.c each, the other files beside them are shared.
FUZZ     := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_REST := $(filter-out tests/fuzz/fuzz_%.c tests/fuzz/replay.c,\
               $(call source,tests/fuzz))
FUZZ_LIB := $(call no_main,$(FUZZ_REST))
FUZZ_TOOLS := $(patsubst %.c,$(B)/%,$(filter-out $(FUZZ_LIB),$(FUZZ_REST)))
BENCH    := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/bench_*.c))
# Clients of the comparison: one for each system that can be spoken to here.
COMPARE_ALL := $(filter-out driver stream,$(patsubst \
              tests/bench/compare/%.c,%,$(call source,tests/bench/compare)))
COMPARE_OWN := zmq_server disk many_queues
RABBITMQ := $(shell pkg-config --exists librabbitmq 2>/dev/null && echo yes)
COMPARE  := $(patsubst %,$(B)/tests/bench/compare/%,\
              $(filter-out $(if $(RABBITMQ),,rabbitmq),$(COMPARE_ALL)))
# Small programs of one file each that integration tests start.
HELPERS  := $(patsubst %.c,$(B)/%,$(call source,tests/integration) \
              $(call source,tests/fault))
# Libraries that tests preload into the real programs.
SHIMS    := $(patsubst %.c,$(B)/%.so,$(call source,tests/fault/shim))
HEADERS  := $(patsubst common/%,build/include/%,$(PUBLIC_HEADERS))

programs: $(PROGRAMS)
	@:
library: $(LIBRARY) $(HEADERS)
plugins: $(PLUGINS)
all: programs library plugins
	@:
sim: $(SIM)
	@:
# The log's own tests, in the flavour with bugs that are wanted.
planted: sim $(filter %/test_log %/test_log_space %/test_log_faults \
           %/test_log_damage,$(UNIT))
	@:
tests: $(UNIT) $(STORY) $(SIM) $(HELPERS) $(SHIMS) \
    $(if $(filter asan,$(FLAVOUR)),$(FUZZ) $(FUZZ_TOOLS))
	@:
fuzz: $(FUZZ)
	@:
examples: $(EXAMPLES)
	@:
bench: $(BENCH)
	@:
compare: $(COMPARE)
	@:

# --- the final places, of the release flavour --------------------------------
ifeq ($(FLAVOUR),release)
FINAL := $(patsubst $(B)/bin/%,build/%,$(PROGRAMS))
programs: $(FINAL)
$(FINAL): build/%: $(B)/bin/%
	$(Q)cp -f $< $@.new && mv -f $@.new $@
library: $(patsubst $(B)/%,build/%,$(LIBRARY))
build/libbaozi.a: $(B)/libbaozi.a
	$(Q)cp -f $< $@.new && mv -f $@.new $@
build/libbaozi.so: $(B)/libbaozi.so
	$(Q)cp -f $(B)/$(SONAME) build/$(SONAME).new
	$(Q)mv -f build/$(SONAME).new build/$(SONAME)
	$(Q)ln -sf $(SONAME) $@
plugins: $(patsubst $(B)/%,build/%,$(PLUGINS))
build/plugins/%.so: $(B)/plugins/%.so
	$(Q)mkdir -p $(@D) && cp -f $< $@.new && mv -f $@.new $@
else
# The other flavours are used where they lie: BAOZI_BUILD=build/asan/bin.
plugins: $(B)/bin/plugins
$(B)/bin/plugins:
	$(Q)mkdir -p $(@D) && ln -sfn ../plugins $@
endif

# --- what makes everything stale: other flags, other files -------------------
# Written at parse time, only when they differ.
define remember
$(shell mkdir -p $(B); printf '%s\n' '$(subst ','\'',$(2))' > $(1).new; \
  cmp -s $(1).new $(1) && rm -f $(1).new || mv -f $(1).new $(1))
endef
$(call remember,$(B)/flags,$(CC) $(CFLAGS_ALL) $(LTO_COMPILE) $(LTO_LINK) \
  $(CPPFLAGS) $(LDFLAGS_ALL))
$(call remember,$(B)/files,$(COMMON) $(CORE) $(LIBTEST) \
  $(foreach room,$(ROOMS),$(call source,$(room))))

# --- compile ------------------------------------------------------------------
$(B)/obj/tests/%.o: LTO_COMPILE =
$(B)/obj/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LTO_COMPILE) $(call features,$<) $(CPPFLAGS) \
	    $(includes) -MMD -MP -c -o $@ $<

# Examples see what an installed baozi shows, and nothing else.
$(B)/obj/tests/examples/%.o: includes = -Ibuild/include
$(call object,$(call source,tests/examples)): | $(HEADERS)
$(HEADERS): build/include/%: common/%
	@mkdir -p $(@D)
	$(Q)cp -f $< $@

# --- archives -----------------------------------------------------------------
define put_archive
$(call say,AR,$@)
@mkdir -p $(@D) && rm -f $@
$(Q)$(AR) rcs $@ $(filter %.o,$^)
endef
$(B)/libbaozi.a: $(call object,$(COMMON)) $(B)/files
	$(put_archive)
$(B)/libcore.a: $(call object,$(CORE)) $(B)/files
	$(put_archive)
$(B)/libtest.a: $(call object,$(LIBTEST)) $(B)/files
	$(put_archive)
define room_rules
$(B)/lib$(1).a: $(call object,$(call no_main,$(call source,$(1)))) $(B)/files
	$$(put_archive)
$(B)/bin/$(PROGRAM_$(1)): $(call object,$(call source,$(1))) \
    $(if $(filter broker,$(1)),$(B)/libcore.a) $(B)/libbaozi.a $(B)/files
	$$(link)
endef
$(foreach room,$(ROOMS),$(eval $(call room_rules,$(room))))

# --- link ---------------------------------------------------------------------
# Programs, and what measures their parts, are optimized as they are linked.
$(PROGRAMS) $(BENCH) $(B)/libbaozi.so: lto = $(LTO_LINK)
lto = $(NO_LTO)
define link
$(call say,LD,$@)
@mkdir -p $(@D)
$(Q)$(CC) $(CFLAGS_ALL) $(lto) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) \
    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(1) $(LIBS)
endef

$(B)/libbaozi.so: $(call object,$(COMMON)) $(B)/files \
    $(wildcard common/libbaozi.map)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(lto) $(filter-out -pie,$(LDFLAGS_ALL)) \
	    -shared -Wl,-soname,$(SONAME) $(SHARED_FLAGS) \
	    $(patsubst %,-Wl$(comma)--version-script=%,$(filter %.map,$^)) \
	    -o $(B)/$(SONAME) $(filter %.o,$^) $(LIBS)
	$(Q)ln -sf $(SONAME) $@

$(B)/plugins/%.so: $(B)/obj/worker/plugins/%.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(lto) $(filter-out -pie,$(LDFLAGS_ALL)) \
	    -shared -o $@ $<

$(B)/tests/fault/shim/%.so: $(B)/obj/tests/fault/shim/%.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(lto) $(filter-out -pie,$(LDFLAGS_ALL)) \
	    -shared -o $@ $<

ROOM_LIBS := $(foreach room,$(ROOMS),$(B)/lib$(room).a) \
    $(if $(CORE),$(B)/libcore.a) $(if $(LIBTEST),$(B)/libtest.a) \
    $(B)/libbaozi.a
$(UNIT): $(B)/%: $(B)/obj/%.o $(ROOM_LIBS)
	$(call link,-lcmocka)
$(STORY): $(call object,$(call source,tests/core)) $(ROOM_LIBS) $(B)/files
	$(call link,-lcmocka)
# The simulator stands between the gateway and the core, and takes the place of
# what is outside: randomness, the clock, the log, the end of a false assertion;
# and, of a durable broker, the folder, the threads and sleeping.
WRAPPED := bao_core_step bao_core_tick bao_panic bao_log_line \
           bao_random_fill bao_random_number bao_time_monotonic_us \
           bao_storage_open bao_storage_close bao_log_threads_open \
           bao_log_threads_close bao_log_threads_executor \
           bao_log_threads_clear bao_log_open bao_log_record_bytes_max \
           bao_problem_print poll
$(SIM): $(call object,$(call source,tests/sim)) $(B)/libtest.a \
    $(B)/libbroker.a $(B)/libcore.a $(B)/libbaozi.a $(B)/files
	$(call link,$(addprefix -Wl$(comma)--wrap=,$(WRAPPED)))
$(BENCH) $(HELPERS) $(FUZZ_TOOLS): $(B)/%: $(B)/obj/%.o $(ROOM_LIBS)
	$(link)
# Our client is what a program gets that uses an installed baozi.
$(B)/tests/bench/compare/baozi: $(B)/libbaozi.so
$(B)/tests/bench/compare/baozi: shared = $(B)/libbaozi.so \
    -Wl,-rpath,'$$ORIGIN/../../..'
$(COMPARE): $(B)/%: $(B)/obj/%.o $(ROOM_LIBS) \
    $(call object,tests/bench/compare/driver.c tests/bench/compare/stream.c)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(lto) $(LDFLAGS_ALL) -o $@ \
	    $(if $(filter $(COMPARE_OWN),$(@F)),$<,$(filter %.o,$^)) $(shared) \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS) \
	    $(if $(filter rabbitmq,$(@F)),-lrabbitmq)
# Of the fuzz flavour the main() is libFuzzer's, of others that of replay.c.
# A target may take the place of some functions: its FUZZ_WRAP.
FUZZ_MAIN := $(if $(filter fuzz,$(FLAVOUR)),,$(B)/obj/tests/fuzz/replay.o)
$(B)/libfuzz.a: $(call object,$(FUZZ_LIB)) $(B)/files
	$(put_archive)
include $(wildcard tests/fuzz/wrap.mk)
$(FUZZ): $(B)/%: $(B)/obj/%.o $(FUZZ_MAIN) \
    $(if $(FUZZ_LIB),$(B)/libfuzz.a) $(ROOM_LIBS)
	$(call link,$(addprefix -Wl$(comma)--wrap=,$(FUZZ_WRAP_$(@F))) \
	    $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -lcmocka)
$(EXAMPLES): $(B)/tests/examples/%: $(B)/obj/tests/examples/%.o \
    $(B)/libbaozi.so
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(lto) $(LDFLAGS_ALL) -o $@ $< -L$(B) -lbaozi \
	    -Wl,-rpath,'$$ORIGIN/../..'

# --- install ------------------------------------------------------------------
INSTALL ?= install
OBJCOPY ?= objcopy
# What the link-time optimizer reads, no other compiler's understands.
MACHINE_CODE_ALONE := -R '.gnu.lto_*' -R '.gnu.debuglto_*' \
    -N __gnu_lto_v1 -N __gnu_lto_slim
LIBDIR  := $(or $(LIBDIR),$(PREFIX)/lib)
TO      := $(DESTDIR)$(PREFIX)
install: all
	$(Q)$(INSTALL) -d $(TO)/bin $(DESTDIR)$(LIBDIR)/pkgconfig \
	    $(DESTDIR)$(LIBDIR)/baozi $(TO)/include/baozi
	$(Q)$(INSTALL) $(PROGRAMS) $(TO)/bin
	$(Q)$(INSTALL) -m 644 $(HEADERS) $(TO)/include/baozi
	$(Q)$(OBJCOPY) $(MACHINE_CODE_ALONE) $(B)/libbaozi.a \
	    $(DESTDIR)$(LIBDIR)/libbaozi.a
	$(Q)chmod 644 $(DESTDIR)$(LIBDIR)/libbaozi.a
	$(Q)$(INSTALL) $(B)/$(SONAME) $(DESTDIR)$(LIBDIR)/libbaozi.so.$(VERSION)
	$(Q)ln -sf libbaozi.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libbaozi.so
	$(Q)$(if $(PLUGINS),$(INSTALL) $(PLUGINS) $(DESTDIR)$(LIBDIR)/baozi)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' '' \
	    'Name: baozi' 'Description: client of the baozi work-queue broker' \
	    'Version: $(VERSION)' 'Cflags: -I$${prefix}/include/baozi' \
	    'Requires.private: $(MSGPACK)' \
	    'Libs: -L$${libdir} -lbaozi' \
	    > $(DESTDIR)$(LIBDIR)/pkgconfig/baozi.pc
	@echo "  installed under $(TO)"

-include $(shell [ -d $(B)/obj ] && find $(B)/obj -name '*.d')

# `make -f make/build.mk print-CFLAGS_ALL` prints a variable, for make/lint.
print-%:
	@echo '$($*)'
