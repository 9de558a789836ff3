/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Checked traffic of whose memory rights or contents are taken away, over and over. An
 * access that meets it ends well or with the error of Documentation/odp.rst.
 */
#ifndef TESTS_VERBS_HARM_H
#define TESTS_VERBS_HARM_H

#include "traffic.h"

struct harm {
	/*
	 * What is done, in a thread of its own, to @len bytes at @at of @b: whole pages, or
	 * @to_end: any up to the end. When it returns all of @b is there again.
	 */
	void (*fn)(struct buf *b, size_t at, size_t len);
	bool to_end;
	size_t at, len;		/* if it is always the same bytes */
	int denies;		/* the accesses that meet it may be refused: PROT_* */
	const uint8_t *leaves;	/* what it leaves of all of @b; NULL: what was there */
};

/* What most events leave. */
extern const uint8_t harm_zeros[TRAFFIC_SIZE];

/* To side a's memory if @local, else to b's. */
void harm_traffic(struct traffic *t, const struct harm *h, bool local);
/* To either, of memory files if @file, else anonymous. */
void harm_both(const struct harm *h, bool file);

#endif
