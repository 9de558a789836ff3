/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory keys: 24 bits of index that the device chooses, 8 bits of tag. One
 * table holds memory regions and memory windows, as IBTA 10.6.3 has one key
 * space.
 */
#ifndef RXO_KEY_H
#define RXO_KEY_H

#include "ref.h"

struct rxo_dev;

enum rxo_key_kind {
	RXO_KEY_MR,
	RXO_KEY_MW,
};

/**
 * struct rxo_key - embedded in whatever a key stands for
 * @ref: its handle
 * @key: lkey and rkey; a window's tag changes with each bind, under its lock
 * @kind: what it is embedded in
 */
struct rxo_key {
	struct rxo_ref *ref;
	u32 key;
	enum rxo_key_kind kind;
};

/**
 * rxo_key_init() - choose a key and publish it
 * @dev: the device
 * @key: filled; the object around it is complete
 * @kind: what @key is embedded in
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM or -EBUSY (all keys in use).
 */
int rxo_key_init(struct rxo_dev *dev, struct rxo_key *key,
		 enum rxo_key_kind kind);

/**
 * rxo_key_kill() - withdraw a key and wait for its users
 * @dev: the device
 * @key: the key
 *
 * Context: may sleep.
 */
void rxo_key_kill(struct rxo_dev *dev, struct rxo_key *key);

/**
 * rxo_key_get() - look a key up
 * @dev: the device
 * @key: index and tag; the tag is not compared here
 *
 * Context: process or softirq.
 * Return: the key with a reference for rxo_key_put(), or NULL.
 */
struct rxo_key *rxo_key_get(struct rxo_dev *dev, u32 key);

static inline void rxo_key_put(struct rxo_key *key)
{
	rxo_ref_put(key->ref);
}

#endif /* RXO_KEY_H */
