/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Swap space: zram where there is one, else a file on the disk. */
#ifndef TESTS_VERBS_SWAP_H
#define TESTS_VERBS_SWAP_H

/*
 * Skips where none can be made. It stays for the cases that follow: a program's
 * last one takes it away.
 */
void swap_on(void);
void swap_off(void);

#endif
