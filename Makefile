# SPDX-License-Identifier: GPL-2.0
# What a person needs; "make help" lists it. The modules' own rules are in Kbuild.

RELEASE := $(shell uname -r)
KDIR ?= /lib/modules/$(RELEASE)/build
KERNELS := stable backports
T ?=

.PHONY: modules modules_install clean help check test test-long fuzz hostile torture \
	bench demo shell setup vm-modules

modules modules_install: headers
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

clean:
	find drivers mm -name '*.ko' -o -name '*.[oa]' -o -name '.*.cmd' \
		-o -name '.*.d' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name modules.order -o -name Module.symvers | xargs -r rm -f
	rm -f modules.order Module.symvers .*.cmd .module-common.o

help:
	@echo 'make                  build hmm_mirror.ko and rxe_odp.ko for KDIR'
	@echo '                      (KDIR=$(KDIR))'
	@echo 'make modules_install  install them below /lib/modules; as root, then: depmod'
	@echo 'make clean            remove what "make" has built'
	@echo
	@echo 'make check            fast checks of the sources: style, documents, sparse'
	@echo 'make test             all tests, in virtual machines with both kernels'
	@echo 'make test T=10-host   only these suites of tests/suites'
	@echo 'make test-long        those that take long, and the KCSAN kernel'
	@echo 'make fuzz             the fuzz targets; TIME=600: seconds for each'
	@echo 'make hostile          hostile packets and processes; TIME=60: seconds for each'
	@echo 'make torture          everything at once, at random; TIME=120: seconds, SEED=n'
	@echo 'make torture K=backports  the same with the newer kernel, or K=debug'
	@echo 'make bench            what on-demand memory costs, as ratios; K=stable, K=backports'
	@echo 'make bench INSNS=1    the same in instructions, which have no noise'
	@echo 'make demo             watch a demonstration in a virtual machine'
	@echo 'make shell            a shell in a virtual machine with the modules loaded'
	@echo 'make shell K=backports    the same with the newer kernel, or K=debug'
	@echo
	@echo 'make setup            only prepare the virtual machine (some minutes, once)'
	@echo 'make vm-modules       build for both kernels of the virtual machine, W=1'
	@echo
	@echo 'Nothing but "make" needs kernel headers here; the virtual machines and'
	@echo 'their compiler live in $${RXE_ODP_CACHE:-~/.cache/rxe-odp}.'

check:
	@tests/check/run

test:
	@tests/run $(T)

test-long:
	@tests/run $(or $(T),$(notdir $(wildcard tests/suites/long-*)))

fuzz:
	@TIME=$(TIME) tests/run 11-fuzz

hostile:
	@TIME=$(TIME) tests/run 50-hostile-stable

torture:
	@TIME=$(or $(TIME),120) SEED=$(SEED) tests/run long-51-torture-$(or $(K),stable)

bench:
	@INSNS=$(INSNS) tests/bench/suite $(or $(K),backports)

demo:
	@tests/demo/run

shell:
	@tests/vm/shell -k $(or $(K),stable)

setup:
	@tests/vm/setup

vm-modules:
	@set -e; for kernel in $(KERNELS); do tests/vm/build -f $$kernel; done

.PHONY: headers
headers:
	@test -e $(KDIR)/Makefile || { \
		echo 'No kernel headers in $(KDIR).' \
			'On Debian: apt install linux-headers-$(RELEASE)' >&2; exit 1; }
