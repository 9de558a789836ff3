/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzz targets share: taking numbers off the input, and dying where a
 * claim does not hold. Past its end the input goes on with zeros.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "host_types.h"

#define must(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: %s does not hold\n", \
				__FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

struct input {
	const u8 *p;
	size_t left;
};

static inline u8 take8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static inline u64 take(struct input *in, int bytes)
{
	u64 n = 0;

	while (bytes--)
		n = n << 8 | take8(in);
	return n;
}

/* Bytes in a heap block of their very size, so that reading past them shows. */
static inline void *exact(const void *bytes, size_t len)
{
	void *p = malloc(len);

	must(p || !len);
	if (len)
		memcpy(p, bytes, len);
	return p;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#endif /* FUZZ_H */
