# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# How the C programs for the VM are built: one of each .c here, linked with all of
# common/, and with all of SHARED, a common/ elsewhere, where that is set. `make O=DIR`
# builds them there.

O ?= build
CC ?= gcc
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu11 -Wall -Wextra -Werror $(SHARED:%=-I%) -Icommon -MMD -MP $(CFLAGS)
LIBS := -libverbs -lpthread

COMMON := $(patsubst %.c,$(O)/%.o,$(wildcard common/*.c))
ifdef SHARED
COMMON += $(patsubst $(SHARED)/%.c,$(O)/shared/%.o,$(wildcard $(SHARED)/*.c))
endif
PROGRAMS := $(patsubst %.c,$(O)/%,$(wildcard *.c))

all: $(PROGRAMS)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

ifdef SHARED
$(O)/shared/%.o: $(SHARED)/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<
endif

$(O)/common.a: $(COMMON)
	rm -f $@
	$(AR) rcs $@ $^

$(PROGRAMS): $(O)/%: $(O)/%.o $(O)/common.a
	$(CC) $(CFLAGS) -o $@ $< $(O)/common.a $(LIBS)

clean:
	rm -rf $(O)

-include $(wildcard $(O)/*.d $(O)/common/*.d $(O)/shared/*.d)

.SECONDARY:
.PHONY: all clean
