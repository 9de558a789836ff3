/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mirror: readers, faults, invalidations, the reaper and the shrinker about one
 * page of a process. Models mm/hmm_leaf.c, hmm_fault.c, hmm_direct.c, hmm_install.c,
 * hmm_fix.c, hmm_region.c, hmm_shrink.c, and of the kernel what they stand on: interval
 * notifiers as in its mm/mmu_notifier.c, the page table, mmap_lock, RCU.
 *
 * An inline or process has the name of the function it models; an atomic is one
 * access, what a lock held to its end makes one, or what only its process sees.
 * What comes is finite, so every execution ends: what waits for ever is found as
 * the wrong place to end.
 *
 * What must hold is asserted where the page is touched: the page table maps that
 * very page, for writing if it is written, at the copy's begin and at its end; the
 * folio is dirty when it is written; a leaf and its table are not freed. And at
 * install: the page table still says what the walk has found.
 *
 * Memory order. Steps are interleaved as if memory were sequentially consistent.
 * The code may be seen so because entries, table and the leaf's sequence are
 * read and written under leaf->lock, the table's pointer under fault_mutex also; the
 * region's sequence is written before the lock is taken, and read after it was let go,
 * by release and acquire, as is what it knows to be over;
 * invalidate_seq of the process under the notifiers' own lock, and what a fault
 * read before is judged by hmm_leaf_retry() under leaf->lock; users and
 * leaves in the tree are published and taken by refcount, xarray and RCU. hurry and
 * young are hints, which any value serves.
 *
 * A region is modelled with one leaf, and lives and dies with it; of the others there
 * is only that an invalidation may come to them.
 *
 * Left out: more than one page in a leaf (an invalidation clears more than it has
 * to, never less), errors but for no mapping, signals, the end of a mirror, by when
 * readers and faults are over; and hmm_join.c: who waits there holds nothing and
 * begins again, and whom he waits for ends, as every fault here does.
 *
 * What is in the world, -D: USERS (1, 2), RECLAIM, BESIDE, MUNMAP, REAP, SHRINK; STARVE is a
 * world of its own, where readers come for ever and an invalidation gets in.
 *
 * Planted faults, -D, each to be found:
 *  BUG_NO_RETRY_CHECK	installs whatever came since the walk
 *  BUG_RETRY_UNLOCKED	asks whether something came, then takes the lock
 *  BUG_BEGIN_LATE	takes the sequence after the walk
 *  BUG_BEGIN_NO_WAIT	does not wait for an invalidation that is under way
 *  BUG_BEGIN_REGION_FIRST	asks for the region's sequence before the leaf's
 *  BUG_SETTLED_BLIND	takes a sequence without asking whether its round is over
 *  BUG_SETTLED_REGION_FIRST	asks for the region's before the leaf's
 *  BUG_OVER_EARLY	says that a round is over, and then waits for its end
 *  BUG_DIRECT_SETTLED_LATE	a direct fault takes the sequence after its look
 *  BUG_REGION_SEQ_LATE	an invalidation notes the region's sequence after the leaf's
 *  BUG_INSERT_NO_WAIT	shows a region while an invalidation is under way that its
 *			notifier has missed
 *  BUG_CLEAR_UNLOCKED	invalidates without leaf->lock
 *  BUG_SEQ_UNLOCKED	notes the sequence after the unlock
 *  BUG_CLEAR_NOTHING	notes the sequence only
 *  BUG_COPY_UNLOCKED	a reader unlocks, then copies
 *  BUG_WRITE_READONLY	a reader writes through any entry
 *  BUG_GRANT_ASKED	an entry may what was asked for, whatever the page table says
 *  BUG_DIRTY_NEVER	an entry that may write, and nobody marks the folio dirty
 *  BUG_DIRTY_UNLOCKED	it is marked after the unlock
 *  BUG_DIRTY_EARLY	it is marked before the retry check, under no lock
 *  BUG_FIND_ANY		a fault takes a leaf that is dying
 *  BUG_CREATE_BLIND	does not look again under grow_mutex
 *  BUG_PUBLISH_FIRST	a new leaf is found before its notifier is there
 *  BUG_REAP_USED		reaps a leaf that a fault uses
 *  BUG_REAP_REMOVE_FIRST	removes the notifier, then the entries
 *  BUG_REAP_NO_RCU	frees the leaf under readers
 *  BUG_REAP_NO_REMOVE	frees the leaf under an invalidation
 *  BUG_RECENT_KEPT	lets lookups find a leaf that is freed
 *  BUG_RECENT_EARLY	takes it out of their sight, and then empties it
 *  BUG_RECENT_UNLOCKED	they remember a leaf that they have let go of
 *  BUG_SHRINK_WAITS	waits for fault_mutex
 *  BUG_SHRINK_NO_MUTEX	does not take it
 *  BUG_SHRINK_UNLOCKED	takes the table away without leaf->lock
 *  BUG_NO_HURRY		an invalidation only tries and tries (STARVE)
 *  BUG_FAIR_LOCK		readers queue behind a writer, and lookups nest (STARVE)
 */

#ifdef STARVE
#define USERS 0
#endif
#ifndef USERS
#define USERS 1
#endif
#ifndef TRIES
#define TRIES 2 /* lookups of a user */
#endif
#ifndef CHANGES
#define CHANGES 1 /* by the kernel's reclaim and its like */
#endif
#ifdef REAP
#define LEAVES 2
#else
#define LEAVES 1
#endif

/* ---- the process: its page table, mmap_lock, interval notifiers, RCU ---- */

bool vma = true;
byte pte; /* the page that is mapped, 0 none */
bool pte_write;
bool dirty; /* the folio of that page */

byte mm_readers; /* mmap_lock */
bool mm_writer;

byte inv_seq = 2; /* subscriptions->invalidate_seq */
byte inv_active; /* ->active_invalidate_ranges */

byte rcu; /* who is in a read side section, a bit each */

#define mmap_read_lock() atomic { !mm_writer -> mm_readers++ }
#define mmap_read_unlock() mm_readers--

/* ---- struct hmm_mirror and struct hmm_mirror_leaf ---- */

/* Where an interval notifier is */
#define OUT 0
#define IN 1 /* in the interval tree */
#define COMES 2 /* deferred insertion */
#define GOES 3 /* deferred removal */

typedef leaf_t {
	byte readers; /* lock */
	bool writer;
	byte hurry;
	byte entry; /* the page, 0 none */
	bool write;
	bool block; /* the entry is a block */
	bool table;
	byte users;
	bool fault_mutex;
	byte notifier;
	byte seq; /* of the leaf */
	byte region_seq;
	byte over; /* of the region: the round that is known to be over */
	byte sub_seq; /* of the notifier */
	byte inside; /* callbacks that run */
	bool dying; /* kfree_rcu() */
	byte grace; /* ... waits for these */
	bool freed
};

#define NO_LEAF 2
leaf_t leaf[LEAVES];
byte root = NO_LEAF; /* mirror->root */
byte recent = NO_LEAF; /* mirror->recent, where a leaf may die */
bool grow_mutex;
byte made; /* leaves so far */

#define alive(l) assert(!leaf[l].freed)

/* ---- hmm_leaf.c ---- */

#ifdef BUG_NO_HURRY
#define HURRY 0
#else
#define HURRY 1
#endif

/* The first is a trylock, which may be all it takes; the second is tired of it. */
inline hmm_leaf_lock(l)
{
	if
	:: atomic {
		!leaf[l].readers && !leaf[l].writer ->
		alive(l);
		leaf[l].writer = true
	   }
	:: atomic {
		leaf[l].readers || leaf[l].writer ->
		alive(l);
		leaf[l].hurry = leaf[l].hurry + HURRY
	   }
	   atomic {
		!leaf[l].readers && !leaf[l].writer ->
		alive(l);
		leaf[l].writer = true;
		leaf[l].hurry = leaf[l].hurry - HURRY
	   }
	fi
}

inline hmm_leaf_unlock(l)
{
	atomic { alive(l); assert(leaf[l].writer); leaf[l].writer = false }
}

/* Under the lock for writing. */
inline hmm_leaf_clear(l)
{
	leaf[l].entry = 0;
	leaf[l].write = false;
	leaf[l].block = false
}

/*
 * In hmm_region_invalidate(). The notifier's sequence and ours are one step: who reads
 * one reads no other.
 */
inline hmm_region_note(l, cur_seq)
{
	atomic {
		alive(l);
		leaf[l].region_seq = cur_seq;
		leaf[l].sub_seq = cur_seq /* mmu_interval_set_seq() */
	}
}

/* One notifier callback. */
inline hmm_leaf_invalidate(l, cur_seq)
{
#ifndef BUG_REGION_SEQ_LATE
	hmm_region_note(l, cur_seq);
#endif
#ifdef BUG_CLEAR_UNLOCKED
	atomic { alive(l); leaf[l].seq = cur_seq; hmm_leaf_clear(l) }
#else
	hmm_leaf_lock(l);
	atomic {
		alive(l);
#ifndef BUG_SEQ_UNLOCKED
		leaf[l].seq = cur_seq;
#endif
#ifndef BUG_CLEAR_NOTHING
		hmm_leaf_clear(l)
#endif
	}
	hmm_leaf_unlock(l);
#ifdef BUG_SEQ_UNLOCKED
	leaf[l].seq = cur_seq;
#endif
#endif
#ifdef BUG_REGION_SEQ_LATE
	hmm_region_note(l, cur_seq);
#endif
}

/* The promise. */
#define mapped(page, writes) (pte == page && (!(writes) || (pte_write && dirty)))

/*
 * @hit: it is there, @page, and locked. RCU to the lock, and disabled bottom halves
 * to the unlock, are one read side section. read_lock_bh() passes a waiting writer.
 */
inline hmm_mirror_lookup_and_lock(me, writes)
{
	atomic { /* hmm_leaf_find_region() */
		rcu = rcu | (1 << me);
		l = (recent != NO_LEAF -> recent : root) /* or xa_load() */
	}
	if
	:: l == NO_LEAF -> rcu_read_unlock(me)
	:: l != NO_LEAF ->
		if
		:: atomic { leaf[l].hurry -> alive(l) }
			rcu_read_unlock(me)
		:: atomic { !leaf[l].hurry -> alive(l) }
			atomic {
#ifdef BUG_FAIR_LOCK
				!leaf[l].hurry &&
#endif
				!leaf[l].writer ->
				alive(l);
				leaf[l].readers++;
				has_table = leaf[l].table
			}
			atomic { /* hmm_leaf_run() */
				alive(l);
				assert(!has_table || leaf[l].table);
				has_table = false;
				page = leaf[l].entry;
#ifndef BUG_WRITE_READONLY
				page = (writes && !leaf[l].write -> 0 : page);
#endif
				hit = (page != 0)
			}
			if
#if defined(REAP) && !defined(BUG_RECENT_UNLOCKED)
			:: hit -> recent = l /* hmm_leaf_keep_region() */
#else
			:: hit
#endif
			:: else -> hmm_mirror_unlock(me)
			fi
		fi
	fi
}

inline hmm_mirror_unlock(me)
{
	atomic { alive(l); assert(leaf[l].readers); leaf[l].readers-- }
#ifdef BUG_RECENT_UNLOCKED
	if
	:: hit -> recent = l
	:: else
	fi;
#endif
	rcu_read_unlock(me)
}

/* The user's copy, from its first byte to its last. */
inline copy(writes)
{
	assert(mapped(page, writes));
	assert(mapped(page, writes))
}

/* ---- RCU ---- */

inline rcu_read_unlock(me)
{
	atomic {
		rcu = rcu & ~(1 << me);
		leaf[0].grace = leaf[0].grace & ~(1 << me);
		leaf[LEAVES - 1].grace = leaf[LEAVES - 1].grace & ~(1 << me)
	}
}

inline kfree_rcu(l)
{
	atomic {
#ifndef BUG_REAP_NO_RCU
		leaf[l].grace = rcu;
#endif
		leaf[l].dying = true
	}
}

#ifdef REAP
active proctype rcu_callback()
{
end:	atomic {
		leaf[0].dying && !leaf[0].grace ->
		assert(!leaf[0].inside);
		leaf[0].freed = true
	}
}
#endif

/* ---- the kernel's mm/mmu_notifier.c; each atomic under subscriptions->lock ---- */

inline mmu_interval_notifier_insert(l)
{
	atomic {
		if
		:: inv_active && (inv_seq & 1) ->
			leaf[l].notifier = COMES;
			leaf[l].sub_seq = inv_seq
		:: inv_active && !(inv_seq & 1) ->
			inv_seq = inv_seq | 1;
			leaf[l].notifier = IN;
			leaf[l].sub_seq = inv_seq
		:: !inv_active ->
			leaf[l].notifier = IN;
			leaf[l].sub_seq = inv_seq - 1
		fi
	}
}

inline mmu_interval_notifier_remove(l)
{
	atomic {
		if
		:: !(inv_seq & 1) || leaf[l].notifier == COMES ->
			leaf[l].notifier = OUT;
			seq = 0
		:: else ->
			leaf[l].notifier = GOES;
			seq = inv_seq
		fi
	}
	atomic { !seq || inv_seq != seq -> seq = 0 }
}

inline mmu_interval_read_begin(l)
{
	atomic {
		alive(l);
		wait = (leaf[l].sub_seq == inv_seq -> inv_seq : 0)
	}
	atomic { inv_seq != wait -> wait = 0 }
}

/* ---- hmm_leaf.c again ---- */

/* @seq: of the leaf, read under its lock. */
inline hmm_leaf_begin(l)
{
#ifdef BUG_BEGIN_REGION_FIRST
	wait = leaf[l].region_seq;
#endif
	atomic { !leaf[l].writer -> alive(l); seq = leaf[l].seq }
#ifndef BUG_BEGIN_REGION_FIRST
	wait = leaf[l].region_seq;
#endif
	if
#ifndef BUG_BEGIN_NO_WAIT
	:: seq == wait && seq != leaf[l].over ->
#ifdef BUG_OVER_EARLY
		leaf[l].over = seq;
		mmu_interval_read_begin(l)
#else
		mmu_interval_read_begin(l);
		atomic { alive(l); leaf[l].over = seq }
#endif
#endif
	:: else -> wait = 0
	fi
}

/* @seq: of the leaf, if it is known that its round is over. */
inline hmm_leaf_settled(l)
{
#ifdef BUG_SETTLED_REGION_FIRST
	wait = leaf[l].region_seq;
#endif
	atomic { !leaf[l].writer -> alive(l); now = leaf[l].seq }
#ifndef BUG_SETTLED_REGION_FIRST
	wait = leaf[l].region_seq;
#endif
	atomic {
#ifndef BUG_SETTLED_BLIND
		unsettled = (now != seq && now == wait &&
			     now != leaf[l].over);
#endif
		if
		:: unsettled
		:: else -> seq = now
		fi;
		now = 0;
		wait = 0
	}
}

/* ---- mmu_notifier.c again ---- */

#define in_tree(l) (leaf[l].notifier == IN || leaf[l].notifier == GOES)

inline call(l)
{
	if
	:: atomic { found & (1 << l) -> leaf[l].inside++ }
		hmm_leaf_invalidate(l, cur_seq);
		leaf[l].inside--
	:: else
	fi
}

/*
 * mn_itree_invalidate() of a range that has our page. From the first leaf that it
 * finds on the tree does not change, so all are found at once.
 */
inline mmu_notifier_invalidate_range_start()
{
	atomic {
		inv_active++;
		found = in_tree(0) | (in_tree(LEAVES - 1) << (LEAVES - 1));
		if
		:: found -> inv_seq = inv_seq | 1
		:: else
		fi;
		cur_seq = inv_seq
	}
	call(0);
#ifdef REAP
	call(1);
#endif
}

inline deferred(l)
{
	if
	:: leaf[l].notifier == COMES -> leaf[l].notifier = IN
	:: leaf[l].notifier == GOES -> leaf[l].notifier = OUT
	:: else
	fi
}

inline mmu_notifier_invalidate_range_end()
{
	atomic {
		inv_active--;
		if
		:: !inv_active && (inv_seq & 1) ->
			inv_seq++; /* and wakes who waits for it */
			deferred(0);
			deferred(LEAVES - 1)
		:: else
		fi;
		cur_seq = 0;
		found = 0
	}
}

/* ---- hmm_region.c ---- */

/* @l: a leaf with a reference, or NO_LEAF. */
inline hmm_region_find(me)
{
	atomic { rcu = rcu | (1 << me); l = root } /* xa_load() */
	if
	:: l == NO_LEAF
	:: l != NO_LEAF -> /* refcount_inc_not_zero() */
		atomic {
			alive(l);
			if
#ifndef BUG_FIND_ANY
			:: !leaf[l].users -> l = NO_LEAF
			:: leaf[l].users -> leaf[l].users++
#else
			:: true -> leaf[l].users++
#endif
			fi
		}
	fi;
	rcu_read_unlock(me)
}

/* Under grow_mutex. Nothing but the publishing is seen by others. */
inline hmm_region_create()
{
	mmap_read_lock();
	atomic {
		if
		:: vma && made < LEAVES -> l = made; made++
		:: else
		fi;
		mmap_read_unlock() /* hmm_leaf_is_mapped() */
	}
	if
	:: l != NO_LEAF ->
		leaf[l].users = 1;
#ifdef BUG_PUBLISH_FIRST
		root = l;
#endif
		mmu_interval_notifier_insert(l);
#ifndef BUG_INSERT_NO_WAIT
		mmu_interval_read_begin(l);
#endif
		atomic {
			assert(root == NO_LEAF || root == l);
			root = l /* xa_store() */
		}
		leaf[l].users++ /* the caller's */
	:: else
	fi
}

inline hmm_leaf_get(me)
{
	hmm_region_find(me);
	if
	:: l != NO_LEAF
	:: l == NO_LEAF ->
		atomic { !grow_mutex -> grow_mutex = true }
#ifndef BUG_CREATE_BLIND
		hmm_region_find(me);
#endif
		if
		:: l == NO_LEAF -> hmm_region_create()
		:: else
		fi;
		grow_mutex = false
	fi
}

inline hmm_leaf_put()
{
	atomic { alive(l); assert(leaf[l].users > 1); leaf[l].users--; l = NO_LEAF }
}

/* cmpxchg() */
inline take_recent()
{
	atomic { recent = (recent == l -> NO_LEAF : recent) }
}

/* Off the tree, and used by no fault. */
inline hmm_region_destroy()
{
#ifdef BUG_REAP_REMOVE_FIRST
	mmu_interval_notifier_remove(l);
#endif
#ifdef BUG_RECENT_EARLY
	take_recent();
#endif
	hmm_leaf_lock(l);
	atomic { alive(l); hmm_leaf_clear(l); leaf[l].table = false }
	hmm_leaf_unlock(l);
#if !defined(BUG_RECENT_EARLY) && !defined(BUG_RECENT_KEPT)
	take_recent();
#endif
#if !defined(BUG_REAP_REMOVE_FIRST) && !defined(BUG_REAP_NO_REMOVE)
	mmu_interval_notifier_remove(l);
#endif
	kfree_rcu(l)
}

/*
 * A fault elsewhere, that makes the leaves be more than reap_at. That nothing is
 * mapped does not mean that it has been invalidated: munmap() takes the mapping
 * away first.
 */
#ifdef REAP
active proctype hmm_region_reap()
{
	byte l = NO_LEAF, seq;

	atomic { !grow_mutex -> grow_mutex = true }
	mmap_read_lock();
	/* hmm_region_kill() */
	if
#ifdef BUG_REAP_USED
	:: atomic { root == 0 && !vma -> leaf[0].users = 0; l = 0 }
#else
	:: atomic {
		root == 0 && !vma && leaf[0].users == 1 ->
		leaf[0].users = 0; /* refcount_dec_if_one() */
		l = 0
	   }
#endif
	   root = NO_LEAF /* xa_erase() */
	:: else
	fi;
	mmap_read_unlock();
	if
	:: l != NO_LEAF -> hmm_region_destroy()
	:: else
	fi;
	grow_mutex = false
}
#endif

/* ---- hmm_shrink.c ---- */

/*
 * By kswapd, and by whoever allocates, with whatever locks. dev->lock is tried too,
 * so there is one at a time; who finds it taken goes on.
 */
inline hmm_shrink_leaf()
{
#ifdef SHRINK
	if
	:: skip /* nothing short of memory, or dev->lock is taken */
	:: atomic { root != NO_LEAF && leaf[0].users -> leaf[0].users++ }
#if defined(BUG_SHRINK_WAITS)
		atomic { !leaf[0].fault_mutex -> leaf[0].fault_mutex = true }
		shrink_locked();
		leaf[0].fault_mutex = false;
#elif defined(BUG_SHRINK_NO_MUTEX)
		shrink_locked();
#else
		if
		:: atomic { !leaf[0].fault_mutex -> leaf[0].fault_mutex = true }
			shrink_locked();
			leaf[0].fault_mutex = false
		:: else
		fi;
#endif
		leaf[0].users--
	fi
#else
	skip
#endif
}

/* Whether the leaf is young is any value. */
inline shrink_locked()
{
#ifndef BUG_SHRINK_UNLOCKED
	hmm_leaf_lock(0);
#endif
	atomic {
		if
		:: leaf[0].block -> leaf[0].table = false
		:: !leaf[0].block -> hmm_leaf_clear(0); leaf[0].table = false
		:: leaf[0].entry -> skip /* passed over this time */
		fi
	}
#ifndef BUG_SHRINK_UNLOCKED
	hmm_leaf_unlock(0)
#endif
}

#ifdef SHRINK
active proctype kswapd()
{
	hmm_shrink_leaf()
}
#endif

/* ---- hmm_fault.c, hmm_fix.c, hmm_install.c ---- */

inline hmm_leaf_first_missing(writes)
{
	atomic {
		!leaf[l].writer -> /* read_lock_bh(), to read_unlock_bh() */
		alive(l);
		ok = leaf[l].entry && (!(writes) || leaf[l].write)
	}
}

/* handle_mm_fault(): reading may map for writing as well, and clean. */
inline hmm_fix_page(writes)
{
	atomic {
		if
		:: !vma -> bad = true /* hmm_fix_check() */
		:: vma && pte && (!(writes) || pte_write)
		:: vma && pte && writes && !pte_write -> pte_write = true
		:: vma && !pte -> pte = 1; pte_write = true; dirty = false
		:: vma && !pte && !(writes) ->
			pte = 1;
			pte_write = false;
			dirty = false
		fi
	}
}

/* @page, @may: what is mapped and whether it may be written. */
inline hmm_fault_walk()
{
	mmap_read_lock();
	atomic { page = (vma -> pte : 0); may = pte_write && page }
	mmap_read_unlock()
}

inline hmm_fault_fix(writes)
{
	mmap_read_lock();
	hmm_fix_page(writes);
	mmap_read_unlock()
}

/* hmm_leaf_set() keeps an entry that may more; it is as true as ours. */
inline set_entry(writes)
{
#ifdef BUG_GRANT_ASKED
	may = writes;
#else
	may = may && writes; /* hmm_fault_grant() */
#endif
	assert(pte == page && (!may || pte_write));
	assert(!leaf[l].entry || leaf[l].entry == page);
	leaf[l].entry = page;
	leaf[l].write = leaf[l].write || may;
#if !defined(BUG_DIRTY_NEVER) && !defined(BUG_DIRTY_UNLOCKED) && \
	!defined(BUG_DIRTY_EARLY)
	if
	:: may -> dirty = true /* hmm_fault_dirty() */
	:: else
	fi
#endif
}

/* @ok: no invalidation came in between. */
inline hmm_fault_install(writes)
{
	if
	:: leaf[l].table || big
	:: else -> /* hmm_leaf_prepare_table(): allocates, so reclaims */
		hmm_shrink_leaf();
		hmm_leaf_lock(l);
		atomic { alive(l); leaf[l].table = true }
		hmm_leaf_unlock(l)
	fi;
#ifdef BUG_DIRTY_EARLY
	atomic { may && writes -> assert(pte == page); dirty = true }
#endif
#ifdef BUG_RETRY_UNLOCKED
	ok = (leaf[l].seq == seq);
#endif
	hmm_leaf_lock(l);
	atomic {
		alive(l);
		assert(leaf[l].users);
#ifdef BUG_NO_RETRY_CHECK
		ok = true;
#endif
#if !defined(BUG_NO_RETRY_CHECK) && !defined(BUG_RETRY_UNLOCKED)
		ok = (leaf[l].seq == seq); /* hmm_leaf_retry() */
#endif
		if
		:: ok && big -> /* hmm_fault_set_block() */
			set_entry(writes);
			leaf[l].block = true;
			leaf[l].table = false
		:: ok && !big -> /* hmm_fault_set_pages() */
			assert(leaf[l].table);
			if
			:: leaf[l].block -> hmm_leaf_clear(l)
			:: else
			fi;
			set_entry(writes)
		:: else
		fi
	}
	hmm_leaf_unlock(l);
#ifdef BUG_DIRTY_UNLOCKED
	dirty = dirty || (ok && may)
#endif
}

/* @ok: done. Else walk again, or @bad: an error. */
inline hmm_fault_try(writes)
{
	atomic { !leaf[l].fault_mutex -> alive(l); leaf[l].fault_mutex = true }
	hmm_leaf_first_missing(writes);
#ifndef BUG_BEGIN_LATE
	if
	:: ok
	:: !ok -> hmm_leaf_settled(l)
	fi;
#endif
	if
	:: ok || unsettled
	:: else ->
		hmm_fault_walk();
#ifdef BUG_BEGIN_LATE
		hmm_leaf_begin(l);
#endif
		if
#ifdef BUG_GRANT_ASKED
		:: !page -> missing = true
#else
		:: !page || (writes && !may) -> missing = true /* hmm_fault_missing() */
#endif
		:: else ->
			hmm_fault_install(writes)
		fi
	fi;
	atomic {
		alive(l);
		page = 0;
		may = false;
		leaf[l].fault_mutex = false
	}
}

/* hmm_direct.c. @ok: done. Else go the way of all faults, or @bad: an error. */
inline hmm_direct_fault(writes)
{
	hmm_leaf_first_missing(writes);
	if
	:: ok
	:: else ->
		mmap_read_lock();
		hmm_fix_page(writes);
		if
		:: bad
		:: !bad && leaf[l].fault_mutex /* tried in vain */
		:: atomic {
			!bad && !leaf[l].fault_mutex ->
			alive(l);
			leaf[l].fault_mutex = true
		   }
#ifndef BUG_DIRECT_SETTLED_LATE
			hmm_leaf_settled(l);
#endif
			atomic { page = (vma -> pte : 0); may = pte_write && page }
#ifdef BUG_DIRECT_SETTLED_LATE
			hmm_leaf_settled(l);
#endif
			if
			:: !unsettled && page && (!writes || may) ->
				hmm_fault_install(writes)
			:: else
			fi;
			atomic {
				alive(l);
				page = 0;
				may = false;
				leaf[l].fault_mutex = false
			}
		fi;
		mmap_read_unlock()
	fi
}

/* Bounded in the code; here by the number of invalidations. */
inline hmm_mirror_fault(me, writes)
{
	hmm_leaf_get(me);
	if
	:: l == NO_LEAF
	:: l != NO_LEAF ->
		if
		:: hmm_direct_fault(writes)
		:: skip /* hmm_direct_can() */
		fi;
		do
		:: !ok && !bad && unsettled ->
			unsettled = false;
			hmm_leaf_begin(l)
		:: !ok && !bad && !unsettled ->
			hmm_fault_try(writes);
			if
			:: missing ->
				missing = false;
				hmm_fault_fix(writes)
			:: else
			fi
		:: else -> break
		od;
		seq = 0;
		ok = false;
		bad = false;
		unsettled = false;
		hmm_leaf_put()
	fi
}

/* ---- who uses it: a QP that looks up, and faults when it misses ---- */

#if USERS
active [USERS] proctype user()
{
	byte l = NO_LEAF, page, seq, tries = TRIES;
	byte wait;
	byte now;
	bool writes, has_table, hit, ok, bad, missing, unsettled, may, big;

	if
	:: writes = true
	:: skip
	fi;
	if
	:: big = true /* the page table maps 2 MiB at once */
	:: skip
	fi;
	do
	:: tries ->
		tries--;
		hmm_mirror_lookup_and_lock(_pid, writes);
		if
		:: hit ->
#ifdef BUG_COPY_UNLOCKED
			hmm_mirror_unlock(_pid);
			copy(writes);
#else
			copy(writes);
			hmm_mirror_unlock(_pid);
#endif
			atomic { hit = false; page = 0; l = NO_LEAF }
		:: else ->
			l = NO_LEAF;
			hmm_mirror_fault(_pid, writes)
		fi
	:: else -> break
	od
}
#endif

/* ---- who changes the page table ---- */

/* By rmap, so with no mmap_lock: under the page table's lock what is there is changed. */
#ifdef RECLAIM
active proctype reclaim()
{
	byte cur_seq, found, n = CHANGES;

	do
	:: n ->
		n--;
		mmu_notifier_invalidate_range_start();
		atomic {
			if
			:: pte -> pte = 3 - pte /* migrated, or copied on write */
			:: pte -> pte = 0; pte_write = false /* swapped out */
			:: pte -> pte_write = false; dirty = false /* cleaned */
			:: pte -> dirty = false /* MADV_FREE */
			:: !pte
			fi
		}
		mmu_notifier_invalidate_range_end()
	:: else -> break
	od
}
#endif

/* In another leaf of the region. */
#ifdef BESIDE
active proctype beside()
{
	byte cur_seq, found, n = BESIDE;

	do
	:: n ->
		n--;
		atomic {
			inv_active++;
			found = in_tree(0);
			if
			:: found -> inv_seq = inv_seq | 1
			:: else
			fi;
			cur_seq = inv_seq
		}
		if
		:: atomic { found -> leaf[0].inside++ }
			hmm_region_note(0, cur_seq);
			leaf[0].inside--
		:: else
		fi;
		mmu_notifier_invalidate_range_end()
	:: else -> break
	od
}
#endif

/* munmap(), and a new mapping there. */
#ifdef MUNMAP
active proctype process()
{
	byte cur_seq, found;

	atomic { !mm_writer && !mm_readers -> mm_writer = true }
	hmm_shrink_leaf(); /* it allocates */
	atomic { vma = false; mm_writer = false; mm_readers++ } /* downgrade */
	mmu_notifier_invalidate_range_start();
	atomic { pte = 0; pte_write = false }
	mmu_notifier_invalidate_range_end();
	mm_readers--;
	atomic { !mm_writer && !mm_readers -> vma = true }
}
#endif

/*
 * Readers that come for ever, each with a copy from one leaf to another, or within
 * one: two lookups that nest. Whoever is fair to readers and writers lets each step
 * that stays possible happen; then the invalidation returns.
 */
#ifdef STARVE
bool ready, returned;

active [2] proctype reader()
{
	byte l, page;
	bool hit, has_table;

	ready;
end:	do
	:: hmm_mirror_lookup_and_lock(_pid, false);
	   if
	   :: hit ->
		copy(false);
		hit = false;
		hmm_mirror_lookup_and_lock(_pid, false);
		if
		:: hit -> hmm_mirror_unlock(_pid)
		:: else
		fi;
		hmm_mirror_unlock(_pid)
	   :: else
	   fi;
	   atomic { hit = false; page = 0; l = 0 }
	od
}

active proctype invalidation()
{
	byte cur_seq, found;

	atomic {
		pte = 1;
		root = 0;
		leaf[0].users = 1;
		leaf[0].notifier = IN;
		leaf[0].table = true;
		leaf[0].entry = 1;
		ready = true
	}
	mmu_notifier_invalidate_range_start();
	returned = true
}

ltl gets_in { <> returned }
#endif
