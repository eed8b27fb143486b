# rooms.mk - which files are pure, and what an installed baozi shows.
#
# Pure files see no feature macro and call nobody outside: no clock, socket,
# disk, allocator or random source. make/lint checks what they link against.

PUBLIC_HEADERS := common/baozi.h common/status.h \
                  $(wildcard common/baozi_plugin.h)

PURE_NAMES := span list heap table tree pool arena ring timer wire operation \
              dialogue crc32c disk status utf8 msgpack_check buffer \
              packed texts zmtp
PURE := $(wildcard broker/core/*.c) \
        $(wildcard $(foreach name,$(PURE_NAMES),\
          common/$(name).c common/$(name)_*.c))

# The feature macro of one source file; tests may dereference what they just
# looked up.
features = $(if $(filter $(PURE),$(1)),,-D_GNU_SOURCE) \
           $(if $(filter tests/%,$(1)),-Wno-null-dereference)
includes = -I.
