# flags.mk - compilers, warnings, hardening, flavours. Read by build.mk and,
# through `make -f make/build.mk print-...`, by make/lint.

VERSION := $(shell sed -n 's/^.define BAOZI_VERSION "\(.*\)"/\1/p' \
             common/baozi.h)
SONAME  := libbaozi.so.0
comma   := ,

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion \
        -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
        -Wcast-align -Wcast-qual -Wwrite-strings -Wpointer-arith \
        -Wformat=2 -Wswitch-enum -Wundef -Wvla -Wnull-dereference \
        -Wdouble-promotion -Wimplicit-fallthrough -Wunused-result \
        -Wmissing-include-dirs -Wdate-time
WARN_GCC   := -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Walloca \
              -Wjump-misses-init -Wformat-signedness -Warith-conversion
WARN_CLANG := -Wcomma -Wconditional-uninitialized -Wimplicit-int-conversion \
              -Wassign-enum -Wextra-semi-stmt -Wunreachable-code

CLANG := $(shell $(CC) --version 2>/dev/null | grep -c clang)
WARN  += $(if $(filter 0,$(CLANG)),$(WARN_GCC),$(WARN_CLANG))
WARN  += $(if $(WERROR),-Werror)

OPTIMIZE_release := -O3 -g
OPTIMIZE_debug   := -O0 -g3
OPTIMIZE_asan    := -O1 -g -fno-omit-frame-pointer -DBAO_MARKS \
                    -fsanitize=address,undefined -fno-sanitize-recover=all
OPTIMIZE_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPTIMIZE_fuzz    := -O1 -g -fno-omit-frame-pointer \
                    -fsanitize=fuzzer-no-link,address,undefined \
                    -fno-sanitize-recover=all
OPTIMIZE_cover   := -O0 -g --coverage
# the simulator with bugs that are wanted: common/planted.h
OPTIMIZE_planted := -O2 -g -DBAO_PLANT
FORTIFY_release  := -D_FORTIFY_SOURCE=2
# What people run is optimized as a whole (the core takes 11 % fewer
# instructions an item). Objects carry machine code too, for tests: they put
# functions of their own in the place of some. Warnings are given when an
# object is made; the linker would only guess at what assertions rule out.
ifeq ($(FLAVOUR)$(CLANG),release0)
LTO_COMPILE := -flto=1 -ffat-lto-objects
LTO_LINK    := -flto=auto -w
NO_LTO      := -fno-lto
endif
SHARED_release   := -Wl,-z,defs
SHARED_debug     := -Wl,-z,defs
ifeq ($(OPTIMIZE_$(FLAVOUR)),)
$(error there is no flavour '$(FLAVOUR)': \
        take one of release debug asan tsan planted cover fuzz)
endif

MSGPACK := $(shell pkg-config --exists msgpack-c 2>/dev/null && \
             echo msgpack-c || echo msgpack)
MODULES := libzmq $(MSGPACK) jansson inih
# pkg-config's -I lines are made -isystem: their headers are not ours to mend.
CPPFLAGS := $(patsubst -I%,-isystem%,\
              $(shell pkg-config --cflags $(MODULES))) $(CPPFLAGS)
LIBS     := -Wl,--as-needed $(shell pkg-config --libs $(MODULES)) -ldl -lm

CFLAGS_ALL := -std=c11 $(OPTIMIZE_$(FLAVOUR)) $(WARN) -pthread -fPIC \
              -fvisibility=hidden -fno-common -fstack-protector-strong \
              -fstack-clash-protection $(FORTIFY_$(FLAVOUR)) $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)
SHARED_FLAGS := $(SHARED_$(FLAVOUR))
