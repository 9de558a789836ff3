// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "ah.h"
#include "cq.h"
#include "debugfs.h"
#include "dev.h"
#include "mr.h"
#include "mw.h"
#include "qp.h"
#include "srq.h"

static struct dentry *rxo_debugfs_root;

static int mirrors_show(struct seq_file *m, void *unused)
{
	struct rxo_dev *dev = m->private;

	hmm_mirror_show(&dev->mirrors, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mirrors);

static void rxo_mw_show(struct rxo_mw *mw, struct seq_file *m)
{
	spin_lock_bh(&mw->lock);
	if (mw->mr)
		seq_printf(m, "%#x %#llx %llu %#llx %#x window of %#x qpn %u\n",
			   mw->key.key, mw->addr, mw->len, mw->base, mw->access,
			   mw->mr->key.key, mw->qpn);
	else
		seq_printf(m, "%#x - - - - window, free\n", mw->key.key);
	spin_unlock_bh(&mw->lock);
}

static int mrs_show(struct seq_file *m, void *unused)
{
	struct rxo_dev *dev = m->private;
	struct rxo_ref *ref;
	unsigned long index;

	seq_puts(m, "key iova len va access kind\n");
	xa_for_each(&dev->keys, index, ref) {
		struct rxo_key *key = rxo_key_get(dev, index << 8);
		struct rxo_mr *mr;

		if (!key)
			continue;
		if (key->kind == RXO_KEY_MR) {
			mr = container_of(key, struct rxo_mr, key);
			seq_printf(m, "%#x %#llx %llu %#llx %#x %s\n",
				   key->key, mr->iova, mr->len, mr->va,
				   mr->access, mr->mirror ? "odp" : "pinned");
		} else {
			rxo_mw_show(container_of(key, struct rxo_mw, key), m);
		}
		rxo_key_put(key);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mrs);

static int ahs_show(struct seq_file *m, void *unused)
{
	struct rxo_dev *dev = m->private;
	struct rxo_ref *ref;
	unsigned long num;

	xa_for_each(&dev->ahs, num, ref) {
		struct rxo_ah *ah;

		ref = rxo_ref_get(&dev->ahs, num);
		if (!ref)
			continue;
		ah = ref->obj;
		seq_printf(m, "%lu %pI6c -> %pI6c tclass %#x hops %u flow %#x\n",
			   num, &ah->path.saddr, &ah->path.daddr, ah->path.tos,
			   ah->path.ttl, ah->path.flow_label);
		rxo_ref_put(ref);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ahs);

static int fault_latency_show(struct seq_file *m, void *unused)
{
	struct rxo_dev *dev = m->private;

	rxo_latency_show(&dev->fault_latency, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fault_latency);

static int qps_show(struct seq_file *m, void *unused)
{
	rxo_qp_show(m->private, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(qps);

static int cqs_show(struct seq_file *m, void *unused)
{
	rxo_cq_show(m->private, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cqs);

static int srqs_show(struct seq_file *m, void *unused)
{
	rxo_srq_show(m->private, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(srqs);

void rxo_debugfs_init(void)
{
	rxo_debugfs_root = debugfs_create_dir("rxe_odp", NULL);
}

void rxo_debugfs_exit(void)
{
	debugfs_remove_recursive(rxo_debugfs_root);
}

void rxo_debugfs_add(struct rxo_dev *dev, const char *name)
{
	dev->debugfs = debugfs_create_dir(name, rxo_debugfs_root);
	debugfs_create_file("mirrors", 0400, dev->debugfs, dev, &mirrors_fops);
	debugfs_create_file("mrs", 0400, dev->debugfs, dev, &mrs_fops);
	debugfs_create_file("ahs", 0400, dev->debugfs, dev, &ahs_fops);
	debugfs_create_file("fault_latency", 0400, dev->debugfs, dev,
			    &fault_latency_fops);
	debugfs_create_file("qps", 0400, dev->debugfs, dev, &qps_fops);
	debugfs_create_file("cqs", 0400, dev->debugfs, dev, &cqs_fops);
	debugfs_create_file("srqs", 0400, dev->debugfs, dev, &srqs_fops);
}

void rxo_debugfs_del(struct rxo_dev *dev)
{
	debugfs_remove_recursive(dev->debugfs);
}
