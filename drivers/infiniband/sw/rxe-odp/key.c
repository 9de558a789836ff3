// SPDX-License-Identifier: GPL-2.0
#include <linux/random.h>
#include <linux/slab.h>

#include "dev.h"
#include "key.h"

int rxo_key_init(struct rxo_dev *dev, struct rxo_key *key,
		 enum rxo_key_kind kind)
{
	u32 index;
	int ret;

	key->ref = rxo_ref_alloc(key);
	if (!key->ref)
		return -ENOMEM;
	key->kind = kind;

	/* Reserve, so that the key is complete before it can be found. */
	ret = xa_alloc_cyclic_irq(&dev->keys, &index, NULL,
				  XA_LIMIT(1, BIT(24) - 1), &dev->next_key,
				  GFP_KERNEL);
	if (ret < 0) {
		kfree(key->ref);
		return ret;
	}
	/* A tag that nobody can guess from the key before. */
	key->key = index << 8 | get_random_u8();
	xa_store_irq(&dev->keys, index, key->ref, GFP_KERNEL);
	return 0;
}

void rxo_key_kill(struct rxo_dev *dev, struct rxo_key *key)
{
	rxo_ref_kill(&dev->keys, key->key >> 8, key->ref);
}

struct rxo_key *rxo_key_get(struct rxo_dev *dev, u32 key)
{
	struct rxo_ref *ref = rxo_ref_get(&dev->keys, key >> 8);

	return ref ? ref->obj : NULL;
}
