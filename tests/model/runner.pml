/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The runner of a QP: who runs it, how it parks, resumes and ends. Models
 * drivers/infiniband/sw/rxe-odp/: run.c, park.c, ref.c, qp.c, qp_modify.c.
 *
 * An inline or process has the name of the function it models; an atomic is what
 * happens under run.lock, or one access, or what only the runner sees. A process
 * is a context that may run the QP. What comes is finite (packets, misses, ...),
 * so every execution ends: what is lost or stuck shows where all has come to rest.
 *
 * Memory order. Steps are interleaved as if memory were sequentially consistent.
 * The code may be seen so because it shares under run.lock, but for:
 *  - park->state, release and acquire; BUG_PARK_PLAIN_STORE is without;
 *  - looks without the lock, at the queue, the ring, run->entering, run->events and
 *    the timer's state. They may see an old value until the runner takes run.lock
 *    again after the change; so they may here, see "stale";
 *  - queue_work() and hrtimer_start(): what is before them is before the function.
 *
 * The QP has two sides here. One receives packets, misses and parks; one sends what
 * was posted, lacks memory and tries again. The third side and the other two timers
 * do what these do. Left out: the bound of the queues, errors of faults, what is in
 * packets, which tests/host/ has, and that a verb that waits is not starved. Also who
 * asks for a QP that is being destroyed: rxo_run_try_enter().
 *
 * How much comes, -D: POSTS, PACKETS, MISSES, NOMEM, VERBS; HELP: a thread that posts
 * brings the page instead of the worker; HELPERS: more of those; BELL: that thread has
 * posted to this QP, and pauses it. All at 1 takes ten times
 * as long as the worlds that tests/model/run knows, and holds as well.
 *
 * Planted faults, -D, each to be found:
 *  BUG_KICK_UNLOCKED	looks at busy, then sets it
 *  BUG_ROW_NO_KICK	packets in a row are left there
 *  BUG_ROW_NO_REF	lets go of the QP before it kicks it
 *  BUG_STOP_UNLOCKED	looks at the events, then clears busy
 *  BUG_STOP_NO_WAKE	does not tell the verb that waits
 *  BUG_STOP_WAKE_LATE	tells it after the unlock
 *  BUG_YIELD_NOT_BUSY	ownership does not go to the worker with the work
 *  BUG_ENTER_KEEPS_BUSY	a verb takes the work away, and not what came with it
 *  BUG_LEAVE_NO_RUN	a verb leaves, and what came meanwhile stays
 *  BUG_LATER_NONE	lacks memory and starts no timer
 *  BUG_LATER_ACTIVE	starts none while the timer's function runs
 *  BUG_PARK_QUEUE_FIRST	queues the work, then says that it waits
 *  BUG_PARK_LIST_FIRST	lets helpers see it, then queues the work
 *  BUG_PARK_PLAIN_STORE	says that it is done before what it has done is seen
 *  BUG_PARK_KICK_FIRST	kicks, then says that it is done
 *  BUG_PARK_NO_KICK	does not kick
 *  BUG_CANCEL_NO_PUT	keeps the mirror of a work that never ran
 *  BUG_CANCEL_NO_WAIT	does not wait for a fault that runs
 *  BUG_CANCEL_LISTED	does not take it off the list that helpers look at
 *  BUG_CANCEL_HELPED	does not wait for a helper
 *  BUG_HELP_TWICE	helps though the worker has it
 *  BUG_HELP_LOST	would have to wait, and does not give it back
 *  BUG_HELP_FLAG	says whether, not how many help
 *  BUG_BELL_LEFT	ends, and does not give back what it has not brought
 *  BUG_BELL_LATE	gives it back, and then falls silent
 *  BUG_BELL_NO_RESUME	does not go on with what it has paused
 *  BUG_PAUSE_NO_WAKE	pauses, and does not tell the verb that waits
 *  BUG_CANCEL_AT_HAND	keeps the mirror of one that waited for a bell
 *  BUG_RESET_NO_CANCEL	leaves the fault alone
 *  BUG_RESET_NO_TIMER	leaves the timer alone
 *  BUG_TIMER_NO_WAIT	does not wait for the timer's function
 *  BUG_DESTROY_NO_ENTER	does not become the runner
 *  BUG_DESTROY_NO_REF	does not wait for packets that have found the QP
 *  BUG_REF_NO_RCU	frees the handle under who has just found it
 *  BUG_REF_NO_COUNT	does not tell who remembers it
 *  BUG_REF_COUNT_FIRST	tells them while it can still be found
 */

#ifndef POSTS
#define POSTS 1
#endif
#ifndef PACKETS
#define PACKETS 2
#endif
#ifndef MISSES
#define MISSES 1
#endif
#ifndef NOMEM
#define NOMEM 1 /* allocations that fail */
#endif
#ifndef VERBS
#define VERBS 1 /* modify_qp */
#endif
#ifndef HELPERS
#define HELPERS 1 /* that find what others have parked */
#endif
#define BATCH 1 /* RXO_RUN_BATCH */
#define BUDGET 1 /* RXO_RUN_BUDGET */

/* RXO_EV_*; nobody asks for those that are one here */
#define EV_DOORBELL 1
#define EV_PACKET 2
#define EV_RESUME 4
#define EV_LATER 4

/* enum rxo_park_state */
#define NONE 0
#define WAITING 1
#define DONE 2

/* struct rxo_run */
bool busy;
byte entering;
byte events;
byte requests;
bool asleep[2]; /* run->idle: modify, destroy */
bool work_pending; /* run->work */

/* struct hrtimer run->later */
bool later_queued;
bool later_fires; /* not queued, and its function has not got run.lock yet */
bool later_running; /* its function runs */

/* struct rxo_park */
byte park_state;
bool park_err; /* the fault's result is there */
bool park_pending;
bool park_running;
bool park_listed; /* park->waiting */
bool list_locked;
bool rung; /* a bell */
bool at_hand; /* park->waiting, on the bell's list */
bool peer_at_hand; /* a park of another QP's there */
bool claimed; /* the pending bit, by cancel_work() for itself */
byte helpers;
byte mirror_refs;

/* struct rxo_ref, and the table */
bool published = true;
byte ref_users = 1;
bool ref_idle;
bool ref_dying;
bool ref_freed;
byte rcu_readers;
byte kills; /* rxo_ref_kills */
byte slot = 255; /* of it, when the handle was found; 255: it was not */

/* ib_core's lock of the object: verbs share it, destroy has it alone */
byte verbs;
bool gone;

bool freed; /* the QP */
byte sq; /* WQEs posted, not sent */
bool held; /* resp->skb */
byte misses = MISSES;
byte nomem = NOMEM;

byte runners;

#define alive() assert(!freed)
#define runs() assert(!freed && busy && runners == 1)

/*
 * What each process that may run the QP has on its stack, all 0 when it does not:
 * @mine: it has become the runner
 * @stop: it is the runner no more
 * @in_bell: it has rung a doorbell
 * the others as in the code
 */
#define LOCALS bool mine, stop, more, waits, skb, in_bell, paused; byte i, budget

/* ---- qp.c, req.c, resp.c: one step of a side ---- */

#ifdef HELP
/* The two halves of a critical section. */
inline list_first()
{
	alive();
	assert(!park_listed);
#ifndef BUG_PARK_LIST_FIRST
	list_locked = true;
#endif
	park_listed = true
}

inline list_then_queue()
{
	assert(!park_pending);
	park_pending = !claimed; /* queue_work() */
#ifndef BUG_PARK_LIST_FIRST
	list_locked = false
#endif
}
#endif

inline rxo_park()
{
#ifdef BUG_PARK_QUEUE_FIRST
	atomic { mirror_refs++; park_err = false; park_pending = true }
	atomic { runs(); park_state = WAITING }
#else
	atomic {
		runs();
		assert(park_state == NONE);
		park_err = false;
		park_state = WAITING;
		mirror_refs++ /* hmm_mirror_hold() */
	}
#ifdef HELP
	if
	:: atomic { /* on top of a bell */
		rung && !list_locked ->
		assert(!at_hand && !park_listed);
		at_hand = true
	   }
	:: atomic { !list_locked -> list_first() }
	   atomic { list_then_queue() }
	fi
#else
	atomic { assert(!park_pending); park_pending = true } /* queue_work() */
#endif
#endif
}

inline rxo_park_waiting()
{
	atomic {
		runs();
		waits = (park_state == WAITING);
		if
		:: park_state == DONE ->
			assert(park_err);
			park_state = NONE
		:: else
		fi
	}
}

inline rxo_resp_step()
{
	rxo_park_waiting();
	if
	:: waits -> waits = false
	:: else ->
		atomic { /* resp->skb, or rxo_run_dequeue() */
			runs();
			if
			:: held -> held = false; skb = true
			:: !held && requests -> requests--; skb = true
			:: !held && !requests
			:: !held && (events & EV_PACKET) /* stale */
			fi
		}
		if
		:: atomic { skb && misses -> misses--; skb = false }
			rxo_park();
			atomic { held = true; more = true }
		:: atomic { skb -> skb = false; more = true }
		:: else
		fi
	fi
}

inline rxo_req_step()
{
	if
	:: !sq
	:: events & EV_DOORBELL /* stale */
	:: atomic { sq && nomem -> nomem-- }
		rxo_run_later()
	:: atomic { sq -> runs(); sq--; more = true }
#ifdef BELL
	/* And on top of us the peer has missed. */
	:: atomic { sq && in_bell -> runs(); sq--; more = true; peer_at_hand = true }
#endif
	fi
}

/* ---- run.c ---- */

inline rxo_run_events()
{
	atomic { runs(); events = 0 }
}

inline rxo_run_later()
{
	atomic {
		runs();
		if
#if defined(BUG_LATER_NONE)
		:: true
#elif defined(BUG_LATER_ACTIVE)
		:: later_queued || later_running
		:: !later_queued && !later_running -> later_queued = true
#else
		:: later_queued
		:: later_fires /* stale */
		:: !later_queued -> later_queued = true /* hrtimer_start() */
#endif
		fi
	}
}

inline wake_up()
{
	asleep[0] = false;
	asleep[1] = false
}

/*
 * The last look and the end are one critical section, and so is wake_up(): after
 * the unlock the QP may be freed.
 */
inline rxo_run_stop()
{
#ifdef BUG_STOP_UNLOCKED
	atomic { runs(); stop = entering || (!more && !events) }
#endif
	atomic {
		runs();
#ifndef BUG_STOP_UNLOCKED
		stop = entering || (!more && !events);
#endif
		more = false;
		if
		:: stop ->
			busy = false;
			runners--;
#if !defined(BUG_STOP_NO_WAKE) && !defined(BUG_STOP_WAKE_LATE)
			wake_up()
#endif
		:: else
		fi
	}
#ifdef BUG_STOP_WAKE_LATE
	if
	:: atomic { stop -> alive(); wake_up() }
	:: else
	fi
#endif
}

/* Ownership goes to queue_work(), or to the verb that waits. */
inline rxo_run_yield()
{
	runs();
	runners--;
	if
	:: entering ->
		busy = false;
		wake_up()
	:: else ->
#ifdef BUG_YIELD_NOT_BUSY
		busy = false;
		wake_up();
#endif
		assert(!work_pending);
		work_pending = true
	fi
}

inline rxo_run()
{
	budget = BUDGET;
	do
	:: !stop ->
		rxo_run_events();
		more = true;
		do
		:: more && i < BATCH ->
			i++;
			more = false;
			rxo_resp_step();
			rxo_req_step()
		:: else -> break
		od;
		budget = (budget > i -> budget - i : 0);
		i = 0;
		if
		:: more && in_bell && (at_hand || peer_at_hand) -> /* rxo_bell_pauses() */
			more = false;
			stop = true;
			paused = true;
			atomic { /* rxo_run_pause() */
				runs();
				runners--;
				busy = false;
#ifndef BUG_PAUSE_NO_WAKE
				wake_up()
#endif
			}
		/* Nobody enters, or the look is stale; so may be that at the events. */
		:: (more || events) && !budget ->
			more = false;
			stop = true;
			atomic { rxo_run_yield() }
		:: !more || budget || entering ->
			rxo_run_stop()
		fi
	:: else -> break
	od;
	stop = false;
	budget = 0
}

active proctype rxo_run_work()
{
	LOCALS;

end:	do
	:: atomic {
		work_pending ->
		work_pending = false;
#ifdef BUG_YIELD_NOT_BUSY
		busy = true;
#endif
		runners++
	   }
	   rxo_run()
	od
}

/* The two halves of a critical section. */
inline kick_locked(ev)
{
	alive();
	events = events | ev;
	mine = !busy && !entering
}

inline kick_own()
{
	if
	:: mine ->
		busy = true;
		runners++;
		runs()
	:: else
	fi
}

inline kick_run()
{
	if
	:: mine ->
		mine = false;
		rxo_run()
	:: else
	fi
}

inline rxo_run_kick(ev)
{
#ifdef BUG_KICK_UNLOCKED
	atomic { kick_locked(ev) }
	atomic { kick_own() }
#else
	atomic { kick_locked(ev); kick_own() }
#endif
	kick_run()
}

active proctype rxo_run_later_fn()
{
	LOCALS;

end:	do
	:: atomic {
		later_queued ->
		later_queued = false;
		later_running = true;
		later_fires = true
	   }
	   /* rxo_run_timer() */
	   atomic { kick_locked(EV_LATER); kick_own(); later_fires = false }
	   if
	   :: atomic { mine -> mine = false; rxo_run_yield() }
	   :: kick_run()
	   fi;
	   atomic { alive(); later_running = false }
	od
}

/* In one critical section: the look, and being the runner. */
inline enter_own(id)
{
	if
	:: busy -> asleep[id] = true /* prepare_to_wait() */
	:: else ->
		entering--;
		busy = true;
		runners++;
		runs();
		mine = true
	fi
}

inline rxo_run_enter(id)
{
	atomic {
		alive();
		entering++;
		if
		:: work_pending -> /* cancel_work() */
			work_pending = false;
#ifndef BUG_ENTER_KEEPS_BUSY
			busy = false
#endif
		:: else
		fi;
		enter_own(id)
	}
	do
	:: mine -> mine = false; break
	:: atomic { !mine && !asleep[id] -> alive(); enter_own(id) }
	od
}

inline rxo_run_leave()
{
#ifdef BUG_LEAVE_NO_RUN
	atomic { runs(); runners--; busy = false; wake_up() }
#else
	rxo_run()
#endif
}

inline hrtimer_cancel()
{
#ifdef BUG_TIMER_NO_WAIT
	later_queued = false
#else
	/* While its function runs, it may also be queued again. */
	atomic { !later_running -> later_queued = false }
#endif
}

inline rxo_run_purge()
{
#ifndef BUG_RESET_NO_TIMER
	hrtimer_cancel();
#endif
	atomic { alive(); events = 0; requests = 0 }
}

/* ---- park.c ---- */

inline rxo_park_done()
{
#ifdef BUG_PARK_KICK_FIRST
	rxo_run_kick(EV_RESUME);
#endif
#ifdef BUG_PARK_PLAIN_STORE
	park_state = DONE;
	atomic { park_err = true; mirror_refs-- }
#else
	atomic {
		alive();
		park_err = true;
		assert(mirror_refs == 1);
		mirror_refs--
	}
	atomic {
		alive();
#ifndef BUG_PARK_QUEUE_FIRST
		assert(park_state == WAITING);
#endif
		park_state = DONE /* smp_store_release() */
	}
#endif
#if !defined(BUG_PARK_KICK_FIRST) && !defined(BUG_PARK_NO_KICK)
	rxo_run_kick(EV_RESUME)
#endif
}

active proctype rxo_park_work()
{
	LOCALS;

end:	do
	:: atomic {
		park_pending ->
		park_pending = false;
		park_running = true
	   }
#ifdef HELP
	   atomic { !list_locked -> alive(); park_listed = false } /* rxo_park_unlist() */
#endif
	   alive(); /* hmm_mirror_fault(): takes its time */
	   rxo_park_done();
	   park_running = false
	od
}

#ifdef HELP
inline rxo_park_bring()
{
	alive(); /* hmm_mirror_fault(): at once */
	if
#ifdef BUG_HELP_LOST
	:: skip
#else
	:: atomic {
		alive();
		assert(!park_pending && !claimed);
		park_pending = true
	   }
#endif
	:: rxo_park_done()
	fi;
#ifdef BUG_HELP_FLAG
	atomic { alive(); helpers = 0 }
#else
	atomic { alive(); helpers-- }
#endif
}

active [HELPERS] proctype rxo_bell_end()
{
	LOCALS;
	bool have;

end:	do
	:: atomic { /* rxo_park_take(): the list's lock, cancel_work() */
		park_listed && !list_locked ->
		alive();
		list_locked = true;
		claimed = true;
		park_listed = false;
#ifdef BUG_HELP_TWICE
		have = true;
#else
		have = park_pending;
#endif
		park_pending = false;
#ifdef BUG_HELP_FLAG
		helpers = have || helpers
#else
		helpers = helpers + have
#endif
	   }
	   atomic { alive(); claimed = false; list_locked = false }
	   if
	   :: have ->
		have = false;
		rxo_park_bring()
	   :: else
	   fi
	od
}

inline rxo_bell_resume()
{
	paused = false;
	rxo_run_kick(EV_DOORBELL)
}

/* One doorbell whose own softirq misses; those above are what others find. */
active proctype rxo_bell()
{
	LOCALS;
	bool have;

#ifdef BELL
	if
	:: atomic { !gone -> verbs++; sq = sq + 2 }
	:: gone -> goto out
	fi;
	atomic { rung = true; in_bell = true }
	rxo_run_kick(EV_DOORBELL);
#else
	rung = true;
#endif
	do
	:: atomic {
		at_hand && !list_locked ->
		at_hand = false;
		helpers++
	   }
	   rxo_park_bring()
	:: peer_at_hand -> peer_at_hand = false /* kicks the peer */
	:: paused -> rxo_bell_resume()
	:: break /* nothing is there, or it was often enough */
	od;
#ifndef BUG_BELL_LATE
	atomic { rung = false; in_bell = false } /* rxo_bell_fall_silent() */
#endif
#ifndef BUG_BELL_LEFT
	atomic {
		!list_locked ->
		have = at_hand;
		at_hand = false;
		if
		:: have -> list_first()
		:: else
		fi
	}
	if
	:: atomic { have -> have = false; list_then_queue() }
	:: else
	fi;
#endif
#ifdef BUG_BELL_LATE
	atomic { rung = false; in_bell = false };
#endif
#ifndef BUG_BELL_NO_RESUME
	if
	:: paused -> rxo_bell_resume()
	:: else
	fi;
#endif
#ifdef BELL
	verbs--;
out:	skip
#endif
}
#endif

inline rxo_park_cancel()
{
#ifndef BUG_RESET_NO_CANCEL
#ifdef HELP
#ifndef BUG_CANCEL_LISTED
	atomic { /* rxo_park_unlist() */
		!list_locked ->
		runs();
		park_listed = false;
#ifndef BUG_CANCEL_AT_HAND
		mine = at_hand;
#endif
		at_hand = false
	}
#endif
#ifndef BUG_CANCEL_HELPED
	!helpers;
#endif
#endif
	atomic { runs(); mine = mine || park_pending; park_pending = false }
#ifndef BUG_CANCEL_NO_WAIT
	!park_running;
#endif
	if
	:: mine ->
		mine = false;
#ifndef BUG_CANCEL_NO_PUT
		mirror_refs-- /* hmm_mirror_put() */
#endif
	:: else
	fi;
#endif
	atomic { alive(); park_state = NONE }
}

/* ---- ref.c ---- */

inline rxo_ref_get()
{
	atomic { rcu_readers++; told = kills };
	if
	:: atomic { slot == told -> found = true } /* what was found before */
	:: atomic {
		slot != told ->
		found = published; /* xa_load() */
		if
		:: found -> slot = told
		:: else
		fi
	   }
	fi;
	told = 0;
	if
	:: atomic {
		found -> /* refcount_inc_not_zero() */
		assert(!ref_freed);
		found = (ref_users > 0);
		ref_users = ref_users + found;
		rcu_readers--
	   }
	:: atomic { !found -> rcu_readers-- }
	fi
}

inline rxo_ref_put()
{
	atomic { assert(!ref_freed); ref_users--; found = !ref_users }
	if
	:: atomic { found -> assert(!ref_freed); ref_idle = true } /* complete() */
	:: else
	fi
}

inline rxo_ref_kill()
{
#ifdef BUG_REF_COUNT_FIRST
	kills++;
#endif
	published = false; /* xa_erase() */
#if !defined(BUG_REF_COUNT_FIRST) && !defined(BUG_REF_NO_COUNT)
	kills++;
#endif
	rxo_ref_put();
#ifndef BUG_DESTROY_NO_REF
	ref_idle; /* wait_for_completion() */
#endif
	ref_dying = true /* kfree_rcu() */
}

active proctype kfree_rcu()
{
end:	atomic {
#ifdef BUG_REF_NO_RCU
		ref_dying ->
#else
		ref_dying && !rcu_readers ->
#endif
		ref_freed = true
	}
}

/* ---- who comes from outside ---- */

/* verbs.c: rxo_post_send(). The WQE is in user memory before. */
active proctype rxo_post_send()
{
	LOCALS;
	byte n = POSTS;

	do
	:: atomic { n && !gone -> n--; sq++ }
		if
		:: atomic { !gone -> verbs++ }
			rxo_run_kick(EV_DOORBELL);
			verbs--
		:: atomic { gone -> n = 0 }
		fi
	:: atomic { !n || gone -> n = 0; break }
	od
}

/* net.c: softirq, on any CPU. */
active proctype rxo_net_receive()
{
	LOCALS;
	bool found;
	byte told;
	bool row;
	byte n = PACKETS;

	do
	:: n ->
		n--;
		if
		:: row /* rxo_net_in_row() */
		:: !row -> rxo_ref_get() /* rxo_qp_find() */
		fi;
		if
		:: found && !row ->
			/* rxo_run_packet() */
			atomic {
				requests++;
				kick_locked(EV_PACKET);
				kick_own()
			}
			kick_run();
			alive(); /* rxo_qp_put() reads qp->ref */
			rxo_ref_put();
			found = false
		:: found ->
			/* rxo_run_packet_in_row() */
			atomic {
				alive();
				requests++;
				events = events | EV_PACKET;
				row = true
			}
		:: else
		fi
	:: row ->
		/* rxo_net_end_row() */
#ifdef BUG_ROW_NO_REF
		rxo_ref_put();
#endif
#ifndef BUG_ROW_NO_KICK
		rxo_run_kick(0);
#endif
#ifndef BUG_ROW_NO_REF
		alive();
		rxo_ref_put();
#endif
		row = false;
		found = false
	:: !n && !row -> break
	od
}

/* qp_modify.c: everything stops, what there is to do is dropped. */
inline rxo_qp_reset()
{
	rxo_park_cancel();
	rxo_run_purge();
	atomic { alive(); held = false; sq = 0 }
}

/* qp_modify.c: to reset, or a change that stops nothing. */
active proctype rxo_qp_modify()
{
	LOCALS;
	byte n = VERBS;

	do
	:: atomic { n && !gone -> n--; verbs++ }
		rxo_run_enter(0);
		if
		:: rxo_qp_reset()
		:: skip
		fi;
		rxo_run_leave();
		verbs--
	:: atomic { !n || gone -> n = 0; break }
	od
}

/* qp.c: or the QP lives on. */
active proctype rxo_qp_fini()
{
	LOCALS;
	bool found;

	if
	:: atomic { !verbs -> gone = true }
#ifdef BUG_DESTROY_NO_ENTER
		atomic { busy = true; runners = 1 }
#else
		rxo_run_enter(1);
#endif
		rxo_ref_kill();
		rxo_qp_reset();
		atomic {
			runs();
			assert(!park_pending && !work_pending && !later_queued);
			assert(!at_hand && !park_listed);
			assert(!mirror_refs && !entering && !helpers);
			freed = true
		}
	:: skip
	fi
}

/* When nothing can move any more, nothing must be left to do. */
active proctype rest()
{
	atomic {
		timeout ->
		assert(!mirror_refs && !rcu_readers && !verbs && !entering);
		assert(gone == freed && freed == ref_freed);
		assert(freed || (!busy && !events && !requests && !held && !sq));
		assert(freed || park_state == NONE)
	}
}
