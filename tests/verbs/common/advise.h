/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Prefetch, also where the provider does not have the call. */
#ifndef TESTS_VERBS_ADVISE_H
#define TESTS_VERBS_ADVISE_H

#include <infiniband/verbs.h>
#include <stdint.h>

/* ibv_advise_mr() of @n SGEs: 0 or an errno. */
int advise_all(struct ibv_pd *pd, enum ibv_advise_mr_advice advice, uint32_t flags,
	       struct ibv_sge *sges, uint32_t n);
/* The same of one. */
int advise(struct ibv_pd *pd, enum ibv_advise_mr_advice advice, uint32_t flags,
	   uint64_t addr, uint32_t len, uint32_t lkey);

#endif
