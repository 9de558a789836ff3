// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "debugfs.h"
#include "dev.h"
#include "mr.h"
#include "qp.h"

static struct dentry *rxo_debugfs_root;

static int mirrors_show(struct seq_file *m, void *unused)
{
	struct rxo_dev *dev = m->private;

	hmm_mirror_show(&dev->mirrors, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mirrors);

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
			seq_printf(m, "%#x window\n", key->key);
		}
		rxo_key_put(key);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mrs);

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
	debugfs_create_file("fault_latency", 0400, dev->debugfs, dev,
			    &fault_latency_fops);
	debugfs_create_file("qps", 0400, dev->debugfs, dev, &qps_fops);
}

void rxo_debugfs_del(struct rxo_dev *dev)
{
	debugfs_remove_recursive(dev->debugfs);
}
