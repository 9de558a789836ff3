// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <errno.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <sys/ioctl.h>

#include "advise.h"
#include "test.h"

/* The ioctl itself: Debian 13's provider does not have the call yet. */
static int advise_by_ioctl(struct ibv_pd *pd, uint32_t advice, uint32_t flags,
			   struct ibv_sge *sges, uint32_t n)
{
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attrs[4];
	} cmd = {
		.hdr = {
			.length = sizeof(cmd),
			.object_id = UVERBS_OBJECT_MR,
			.method_id = UVERBS_METHOD_ADVISE_MR,
			.num_attrs = 4,
			.driver_id = RDMA_DRIVER_RXE,
		},
		.attrs = {
			{ .attr_id = UVERBS_ATTR_ADVISE_MR_PD_HANDLE,
			  .data = pd->handle },
			{ .attr_id = UVERBS_ATTR_ADVISE_MR_ADVICE, .len = 8,
			  .data = advice },
			{ .attr_id = UVERBS_ATTR_ADVISE_MR_FLAGS, .len = 4,
			  .data = flags },
			{ .attr_id = UVERBS_ATTR_ADVISE_MR_SGE_LIST,
			  .len = n * sizeof(*sges), .data = (uintptr_t)sges },
		},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cmd.attrs); i++)
		cmd.attrs[i].flags = UVERBS_ATTR_F_MANDATORY;
	return ioctl(pd->context->cmd_fd, RDMA_VERBS_IOCTL, &cmd) ? errno : 0;
}

int advise_all(struct ibv_pd *pd, enum ibv_advise_mr_advice advice, uint32_t flags,
	       struct ibv_sge *sges, uint32_t n)
{
	int ret = ibv_advise_mr(pd, advice, flags, sges, n);

	if (ret == EOPNOTSUPP || ret == ENOSYS)
		ret = advise_by_ioctl(pd, advice, flags, sges, n);
	return ret;
}

int advise(struct ibv_pd *pd, enum ibv_advise_mr_advice advice, uint32_t flags,
	   uint64_t addr, uint32_t len, uint32_t lkey)
{
	struct ibv_sge sge = { .addr = addr, .length = len, .lkey = lkey };

	return advise_all(pd, advice, flags, &sge, 1);
}
