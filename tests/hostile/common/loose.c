// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Forged packets for UC and UD. See loose.h.
 */
#include <string.h>

#include "loose.h"
#include "test.h"

/* What they are wrong in. */
enum ban {
	BAD_ICRC, BAD_FORM, BAD_PKEY, BAD_QPN, BAD_TRANSPORT, BAD_TARGET, BAD_LENGTH,
	BAD_QKEY, BAD_SOURCE = BAD_QKEY, BAD_KEY, BAD_PSN,
	BANS_UD = BAD_QKEY + 1, BANS_UC = BAD_PSN + 1,
};

enum {
	UC_SEND_FIRST = 0x20, UC_SEND_MIDDLE, UC_SEND_LAST, UC_SEND_LAST_IMM, UC_SEND_ONLY,
	UC_SEND_ONLY_IMM, UC_WRITE_FIRST, UC_WRITE_MIDDLE, UC_WRITE_LAST,
	UC_WRITE_LAST_IMM, UC_WRITE_ONLY, UC_WRITE_ONLY_IMM, UC_NONE,
	UD_SEND_ONLY = 0x64, UD_SEND_ONLY_IMM, UD_NONE,
};

/* A blow at the headers of a bent one does not come to its last four bytes. */
#define BENT_MIN 24

static uint8_t junk[CHUNK_MAX];
static uint32_t forged;

static void say_payload(struct said *s, struct loose *to, enum mark mark, size_t len)
{
	struct chunk c = { mark, to->flow, forged, len };

	/* Where it is received the pad would show. */
	memset(junk, mark == BENT ? BENT : 0xee, sizeof(junk));
	chunk_make(junk, &c);
	s->payload = junk;
	s->payload_len = (len + 3) & ~3ul;
	s->flags = 0x40 | (-len & 3) << 4 | (rnd() & 0x80);
}

static uint64_t some_place(struct loose *to, int zone, size_t len)
{
	return to->zones[zone].at + rnd_range(0, to->zones[zone].len - len);
}

static void say_datagram(struct said *s, struct loose *to, enum mark mark)
{
	s->opcode = UD_SEND_ONLY + rnd_range(0, 1);
	s->qkey = to->qkey;
	s->psn = rnd();
	say_payload(s, to, mark, rnd_range(BENT_MIN, rnd_range(0, 2) ? 120 : to->mtu));
}

static void say_message(struct said *s, struct loose *to, enum mark mark)
{
	size_t len = rnd_range(BENT_MIN, rnd_range(0, 1) ? 120 : to->mtu);

	s->opcode = rnd_range(UC_SEND_FIRST, UC_WRITE_ONLY_IMM);
	if ((s->opcode - UC_SEND_FIRST) % 6 < 2)
		len = to->mtu;
	s->psn = to->epsn + (rnd_range(0, 3) ? 0 : (int)rnd_range(0, 6) - 3);
	if (s->psn == to->epsn)
		to->epsn++;
	s->rkey = to->keys[0];
	s->len = s->opcode == UC_WRITE_FIRST ? rnd_range(len + 1, 4 * to->mtu) : len;
	s->va = some_place(to, 0, s->len);
	say_payload(s, to, mark, len);
}

/* Right, whatever its @mark: what is wrong is left to others. */
static void say(struct said *s, struct loose *to, enum mark mark)
{
	memset(s, 0, sizeof(*s));
	forged++;
	if (to->ud)
		say_datagram(s, to, mark);
	else
		say_message(s, to, mark);
	s->pkey = rnd_range(0, 1) ? 0xffff : 0x7fff;
	/* The bits above are nobody's business. */
	s->qpn = to->qpn | (uint32_t)rnd() << 24;
	s->imm = mark == BENT ? 0x01010101u * BENT : rnd();
}

/* A write that no key allows, or that begins or ends a byte outside. */
static void say_bad_key(struct said *s, struct loose *to)
{
	int zone = rnd_range(0, LOOSE_ZONES - 1);
	size_t len = rnd_range(16, 600);

	s->opcode = UC_WRITE_ONLY + rnd_range(0, 1);
	s->rkey = to->keys[zone];
	s->len = len;
	s->va = some_place(to, zone, len);
	if (!zone)
		s->va = to->zones[0].at +
			(rnd_range(0, 1) ? -1ull : to->zones[0].len - len + 1);
	say_payload(s, to, BANNED, len);
}

static void say_bad_length(struct said *s, struct loose *to)
{
	static const uint8_t ops[] = {
		UC_SEND_FIRST, UC_SEND_ONLY, UC_SEND_ONLY_IMM, UC_WRITE_FIRST, UC_WRITE_ONLY,
	};
	size_t len = to->mtu + 4 * rnd_range(1, 20);

	s->len = len;
	if (!to->ud) {
		s->opcode = ops[rnd_range(0, ARRAY_SIZE(ops) - 1)];
		/* What others are to follow is full, and no write longer than it says. */
		if (s->opcode == UC_SEND_FIRST && rnd_range(0, 1))
			len = to->mtu - rnd_range(1, 500);
		if (s->opcode >= UC_WRITE_FIRST && rnd_range(0, 1)) {
			len = to->mtu;
			s->len = rnd_range(0, to->mtu - 1);
		}
	}
	say_payload(s, to, BANNED, len);
}

static void say_bad_form(struct said *s, struct loose *to)
{
	switch (rnd_range(0, 2)) {
	case 0:
		s->flags |= rnd_range(1, 15);
		break;
	case 1:
		/* No READ here, no key is invalidated, and no datagram has several packets. */
		if (to->ud && rnd_range(0, 1))
			s->opcode = 0x60 + rnd_range(0, 3);
		else
			s->opcode = (to->ud ? UD_NONE : UC_NONE) + rnd_range(0, 15);
		break;
	default:
		s->payload_len += rnd_range(1, 3);
	}
}

static void say_bad(struct said *s, struct loose *to, enum ban ban)
{
	switch (ban) {
	case BAD_FORM:
		say_bad_form(s, to);
		break;
	case BAD_PKEY:
		s->pkey = rnd_range(0, 0x7ffe) | (rnd() & 0x8000);
		break;
	case BAD_QPN:
		s->qpn = rnd_range(0, 1) ? rnd_range(0, 15) : to->no_qpn;
		break;
	case BAD_TRANSPORT:
		s->opcode &= 0x1f;
		if (rnd_range(0, 1))
			s->opcode |= to->ud ? 0x20 : 0x60;
		break;
	case BAD_LENGTH:
		say_bad_length(s, to);
		break;
	case BAD_QKEY:
		s->qkey = rnd_range(0, 1) ? s->qkey ^ 1u << rnd_range(0, 31) : rnd() | 1u << 31;
		break;
	case BAD_KEY:
		say_bad_key(s, to);
		break;
	case BAD_PSN:
		/* In the middle of a message that nobody has begun, even by a bent bit. */
		s->opcode = (rnd_range(0, 1) ? UC_SEND_FIRST : UC_WRITE_FIRST) +
			    rnd_range(1, 3);
		s->psn = to->epsn + (3 << 21) + rnd_range(0, 1 << 20);
		break;
	default:
		break;
	}
}

static void make_bad(struct frame *f, struct loose *to)
{
	enum ban ban = rnd_range(0, (to->ud ? BANS_UD : BANS_UC) - 1);
	struct route r = to->route;
	struct said s;

	say(&s, to, BANNED);
	say_bad(&s, to, ban);
	if (ban == BAD_TARGET)
		memcpy(r.daddr, to->elsewhere, 16);
	if (ban == BAD_SOURCE && !to->ud)
		r.saddr[r.v6 ? 15 : 3] += rnd_range(1, 200);
	frame_make(f, &r, &s);
	if (ban == BAD_ICRC)
		forge_spoil(f);
}

/* One blow only: another could cut off what tells the mark. */
static void bend(struct frame *f, struct loose *to)
{
	uint8_t *bth = f->bytes + frame_bth(f);
	size_t n = 4 * rnd_range(1, 8);

	switch (rnd_range(0, 4)) {
	case 0:
		bth[0] = rnd_range(0, 1) ? rnd() : (to->ud ? 0x60 : 0x20) + rnd_range(0, 31);
		break;
	case 1:
		f->len -= n;
		break;
	case 2:
		f->bytes[ETH_LEN + rnd_range(0, BTH_LEN + 27)] ^= 1 << rnd_range(0, 7);
		break;
	default:
		bth[rnd_range(1, BTH_LEN + (to->ud ? 7 : 15))] ^= 1 << rnd_range(0, 7);
	}
	frame_seal(f);
}

void loose_forge(struct loose *to, struct frame *f)
{
	int how = rnd_range(0, 5);
	struct said s;

	to->route.sport = forge_port();
	if (how > 2) {
		make_bad(f, to);
		return;
	}
	say(&s, to, how ? FORGED : BENT);
	frame_make(f, &to->route, &s);
	if (!how)
		bend(f, to);
}
