// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A forger on the cable. See forger.h.
 */
#define _GNU_SOURCE
#include <string.h>

#include "forger.h"
#include "test.h"

/* Genuine source ports are from here on (IBTA A17, dynamic ports). */
#define GENUINE_PORT 0xc000

enum {
	SEND_FIRST = 0x00, SEND_MIDDLE = 0x01, SEND_LAST = 0x02, SEND_ONLY = 0x04,
	WRITE_FIRST = 0x06, WRITE_MIDDLE = 0x07, WRITE_LAST = 0x08, WRITE_ONLY = 0x0a,
	READ_REQUEST = 0x0c, READ_RESP_FIRST = 0x0d, READ_RESP_MIDDLE = 0x0e,
	READ_RESP_ONLY = 0x10, ACK = 0x11, ATOMIC_ACK = 0x12, CMP_SWAP = 0x13,
};

static bool is_response(uint8_t opcode)
{
	return opcode >= READ_RESP_FIRST && opcode <= ATOMIC_ACK;
}

uint16_t forge_port(void)
{
	return rnd_range(0x4000, 0x7fff);
}

void victim_init(struct victim *v, struct ep *ep, const struct nic *peer,
		 struct tap *own_end, struct tap *peer_end)
{
	memset(v, 0, sizeof(*v));
	v->ep = ep;
	v->in = peer_end;
	v->spy = own_end;
	v->route.v6 = cfg.v6;
	check(nic_address(peer, cfg.v6, v->route.saddr) &&
	      nic_address(ep->nic, cfg.v6, v->route.daddr), "no addresses");
	memcpy(v->route.smac, peer_end->mac, 6);
	memcpy(v->route.dmac, own_end->mac, 6);
	victim_knows_qpn(v, ep->qp->qp_num);
	victim_ask(v);
}

void victim_knows_key(struct victim *v, uint32_t key)
{
	check(v->nr_keys < MAX_KNOWN, "too many keys");
	v->keys[v->nr_keys++] = key;
}

void victim_knows_zone(struct victim *v, uint64_t at, size_t len)
{
	check(v->nr_zones < MAX_KNOWN, "too many zones");
	v->zones[v->nr_zones++] = (struct zone) { at, len };
}

void victim_knows_qpn(struct victim *v, uint32_t qpn)
{
	check(v->nr_qpns < MAX_KNOWN, "too many QPs");
	v->qpns[v->nr_qpns++] = qpn;
}

static void learn(struct victim *v, const struct frame *f)
{
	const uint8_t *bth = f->bytes + frame_bth(f);
	uint32_t psn = get24(bth + 9), n = 1;

	if (get24(bth + 5) != v->ep->qp->qp_num)
		return;
	if (is_response(bth[0])) {
		v->resp_psn = psn + 1;
	} else {
		if (bth[0] == READ_REQUEST)
			n = get32(bth + BTH_LEN + 12) /
			    mtu_bytes(v->ep->nic->port.active_mtu) + 1;
		v->req_psn = psn + n;
	}
	v->models[v->seen++ % MODELS] = *f;
}

void victim_spy(struct victim *v, const void *secret, size_t len)
{
	static __thread struct frame f;
	const uint8_t *udp;

	for (int i = 0; i < 64 && tap_recv(v->spy, &f); i++) {
		check(!len || !memmem(f.bytes, f.len, secret, len),
		      "memory that no key gives access to is on the wire");
		if (!frame_is_roce(&f))
			continue;
		udp = f.bytes + frame_bth(&f) - 8;
		if (udp[0] << 8 >= GENUINE_PORT)
			learn(v, &f);
	}
}

void victim_ask(struct victim *v)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	check(!ibv_query_qp(v->ep->qp, &attr, IBV_QP_SQ_PSN | IBV_QP_RQ_PSN, &init),
	      "ibv_query_qp");
	v->req_psn = attr.rq_psn;
	/* Anywhere in what may be outstanding, if something is. */
	v->resp_psn = attr.sq_psn + rnd_range(0, 4) - 2;
}

static uint32_t near(uint32_t psn)
{
	switch (rnd_range(0, 9)) {
	case 0: return psn + rnd_range(1, 40);
	case 1: return psn - rnd_range(1, 40);
	case 2: return psn + (1u << 23) + rnd_range(0, 4) - 2;
	case 3: return rnd();
	case 4: return psn + rnd_range(0, 600) - 300;
	case 5: return psn + rnd_range(0, 4) - 2;
	default: return psn;
	}
}

static unsigned int mostly_with(struct victim *v, unsigned int n)
{
	return v->with < n && rnd_range(0, 3) ? v->with : rnd_range(0, n - 1);
}

static uint32_t some_key(struct victim *v)
{
	uint32_t key = v->nr_keys ? v->keys[mostly_with(v, v->nr_keys)] : rnd();

	switch (rnd_range(0, 11)) {
	/* Bit 7 is left to the test: a key that lacks only that never becomes right. */
	case 0: return key ^ rnd_range(1, 127);
	case 1: return key + 0x100 * (rnd_range(0, 6) - 3);
	case 2: return rnd();
	default: return key;
	}
}

static uint64_t some_address(struct victim *v, uint32_t len)
{
	struct zone z = { rnd(), 4096 };

	if (v->nr_zones)
		z = v->zones[mostly_with(v, v->nr_zones)];
	switch (rnd_range(0, 9)) {
	case 0: return z.at - rnd_range(1, 64);
	case 1: return z.at + z.len - rnd_range(0, 64);
	case 2: return z.at + z.len - len + rnd_range(0, 16);
	case 3: return -(uint64_t)rnd_range(0, 2 * PAGE);
	case 4: return (z.at + rnd_range(0, z.len)) & ~7ull;
	case 5: return z.at + (1ull << rnd_range(12, 63));
	default: return z.at + (z.len > len ? rnd_range(0, z.len - len) : 0);
	}
}

static uint32_t some_len(uint32_t real)
{
	static const uint32_t odd[] = {
		0, 1, 4096, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0xfffff000,
	};

	switch (rnd_range(0, 9)) {
	case 0: return odd[rnd_range(0, ARRAY_SIZE(odd) - 1)];
	case 1: return real + rnd_range(0, 8) - 4;
	default: return real;
	}
}

static uint32_t some_aeth(void)
{
	static const uint8_t syndromes[] = {
		0x1f, 0x00, 0x1f, 0x1f, 0x20, 0x21, 0x2e, 0x60, 0x60, 0x61, 0x62, 0x63,
		0x64, 0x65, 0x7f, 0x40, 0x80, 0xff,
	};

	return (uint32_t)syndromes[rnd_range(0, ARRAY_SIZE(syndromes) - 1)] << 24 |
	       (rnd() & PSN_MASK);
}

static uint32_t some_qpn(struct victim *v)
{
	switch (rnd_range(0, 15)) {
	case 0: return rnd() & PSN_MASK;
	case 1: return rnd_range(0, 2);
	case 2: return v->ep->qp->qp_num + rnd_range(0, 8) - 4;
	case 3: return PSN_MASK;
	case 4: return v->qpns[rnd_range(0, v->nr_qpns - 1)];
	/* Reserved bits above it are nobody's business. */
	case 5: return v->ep->qp->qp_num | (uint32_t)rnd() << 24;
	default: return v->ep->qp->qp_num;
	}
}

static uint8_t some_opcode(void)
{
	static const uint8_t known[] = {
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
		0x0c, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x10, 0x11, 0x11, 0x12, 0x13, 0x14,
		0x16, 0x17, 0x04, 0x04, 0x0a, 0x0a, 0x0b, 0x0c, 0x0c, 0x11, 0x13, 0x14,
	};

	if (!rnd_range(0, 7))
		return rnd();
	return known[rnd_range(0, ARRAY_SIZE(known) - 1)];
}

/* What is likely to be executed moves on what the next one has to say. */
static uint32_t some_psn(struct victim *v, const struct said *s)
{
	unsigned int mtu = mtu_bytes(v->ep->nic->port.active_mtu);
	uint32_t psn;

	if (is_response(s->opcode))
		return near(v->resp_psn);
	psn = near(v->req_psn);
	if (psn == v->req_psn && s->opcode < 0x18)
		v->req_psn += s->opcode == READ_REQUEST && s->len < 1 << 20 && s->len ?
			(s->len + mtu - 1) / mtu : 1;
	return psn;
}

static uint8_t junk[2 * PAGE];

static void synthesize(struct victim *v, struct said *s)
{
	unsigned int mtu = mtu_bytes(v->ep->nic->port.active_mtu);
	size_t n;

	s->opcode = some_opcode();
	s->pkey = 0xffff;
	s->qpn = some_qpn(v);
	switch (rnd_range(0, 3)) {
	case 0: n = mtu; break;
	case 1: n = rnd_range(0, mtu); break;
	default: n = rnd_range(0, 64);
	}
	/* What carries no payload mostly has none. */
	if (s->opcode == READ_REQUEST || s->opcode >= ACK)
		n = rnd_range(0, 15) || s->opcode > ATOMIC_ACK + 3 ? 0 : n;
	s->rkey = some_key(v);
	s->len = some_len(s->opcode == READ_REQUEST ? rnd_range(0, 3 * mtu) : n);
	s->va = some_address(v, s->len < 1 << 20 ? s->len : 8);
	s->psn = some_psn(v, s) & PSN_MASK;
	if (rnd_range(0, 2))
		s->psn |= 1u << 31;
	s->swap_add = rnd();
	s->compare = rnd();
	s->orig = rnd();
	s->imm = rnd_range(0, 3) ? rnd() : some_key(v);
	s->qkey = rnd();
	s->aeth = some_aeth();
	s->flags = 0x40 | (-n & 3) << 4 | (rnd_range(0, 1) ? 0x80 : 0);
	if (!rnd_range(0, 9))
		s->flags ^= rnd();
	if (!rnd_range(0, 15))
		s->pkey = rnd();
	rnd_fill(junk, sizeof(junk) / 16);
	s->payload = junk + rnd_range(0, PAGE / 16) * 4;
	s->payload_len = rnd_range(0, 15) ? (n + 3) & ~3ul : n;
}

/* One blow at a frame that was right. */
static void bend(struct victim *v, struct frame *f)
{
	uint8_t *bth = f->bytes + frame_bth(f), *end = f->bytes + frame_icrc(f);
	size_t body = end - bth;
	uint32_t psn = is_response(bth[0]) ? v->resp_psn : v->req_psn;
	int n;

	switch (rnd_range(0, 8)) {
	case 0:
		bth[rnd_range(0, body < 40 ? body - 1 : 39)] ^= 1 << rnd_range(0, 7);
		break;
	case 1:
		bth[0] = some_opcode();
		break;
	case 2:
		put24(bth + 5, some_qpn(v));
		break;
	case 3:
		bth[1] = rnd();
		break;
	case 4:
		if (body >= BTH_LEN + 16)
			put32(bth + BTH_LEN + 8, some_key(v));
		break;
	case 5:
		if (body >= BTH_LEN + 16)
			put64(bth + BTH_LEN, some_address(v, 8));
		break;
	case 6:
		if (body >= BTH_LEN + 16)
			put32(bth + BTH_LEN + 12, some_len(get32(bth + BTH_LEN + 12)));
		break;
	case 7:
		n = (int)rnd_range(0, 16) * (rnd_range(0, 1) ? 4 : 1);
		f->len = body > (size_t)n ? f->len - n : f->len;
		break;
	default:
		if (body > BTH_LEN + 32)
			rnd_fill(bth + BTH_LEN + 16, rnd_range(1, 16));
	}
	put24(bth + 9, near(psn));
}

void forge_any(struct victim *v, struct frame *f)
{
	struct said s;

	v->route.sport = forge_port();
	v->with = rnd_range(0, MAX_KNOWN - 1);
	if (!v->seen || rnd_range(0, 1)) {
		synthesize(v, &s);
		frame_make(f, &v->route, &s);
		return;
	}
	*f = v->models[rnd_range(0, (v->seen < MODELS ? v->seen : MODELS) - 1)];
	frame_redirect(f, &v->route);
	for (int i = rnd_range(1, 2); i; i--)
		bend(v, f);
	frame_seal(f);
}

unsigned int forge_message(struct victim *v, struct frame f[MAX_MESSAGE])
{
	unsigned int mtu = mtu_bytes(v->ep->nic->port.active_mtu);
	unsigned int n = rnd_range(2, MAX_MESSAGE);
	uint32_t psn = rnd_range(0, 3) ? v->req_psn : near(v->req_psn);
	bool write = rnd_range(0, 1);
	struct said s = { 0 };

	v->with = rnd_range(0, MAX_KNOWN - 1);
	s.pkey = 0xffff;
	s.flags = 0x40;
	s.qpn = v->ep->qp->qp_num;
	s.rkey = some_key(v);
	s.len = some_len(n * mtu);
	s.va = some_address(v, n * mtu);
	s.payload = junk;
	rnd_fill(junk, sizeof(junk) / 16);
	v->route.sport = forge_port();
	for (unsigned int i = 0; i < n; i++) {
		s.opcode = write ? WRITE_MIDDLE : SEND_MIDDLE;
		if (!i)
			s.opcode = write ? WRITE_FIRST : SEND_FIRST;
		if (i == n - 1)
			s.opcode = write ? WRITE_LAST : SEND_LAST;
		/* Now and then one that does not belong. */
		if (!rnd_range(0, 15))
			s.opcode = some_opcode();
		s.psn = ((psn + i) & PSN_MASK) | (i == n - 1 ? 1u << 31 : 0);
		s.payload_len = rnd_range(0, 15) ? mtu : rnd_range(0, mtu / 4) * 4;
		frame_make(&f[i], &v->route, &s);
	}
	if (psn == v->req_psn)
		v->req_psn += n;
	return n;
}

static uint8_t opcode_of_nobody(void)
{
	for (;;) {
		uint8_t op = rnd();

		if (op == 0x15 || (op >= 0x18 && op < 0x20) || (op >= 0x80 && op < 0xa0))
			return op;
	}
}

void forge_malformed(struct victim *v, struct frame *f)
{
	struct said s;

	do {
		synthesize(v, &s);
	} while (s.opcode == READ_REQUEST || (s.opcode >= ACK && s.opcode < 0x15) ||
		 s.opcode >= 0x18);
	s.qpn = v->ep->qp->qp_num;
	s.pkey = 0xffff;
	s.flags &= 0xf0;
	s.payload_len = (s.payload_len + 3) & ~3u;
	v->route.sport = forge_port();
	switch (rnd_range(0, 4)) {
	case 0:
		s.flags |= rnd_range(1, 15);
		break;
	case 1:
		s.opcode = opcode_of_nobody();
		break;
	case 2:
		/* Payload where there is none. */
		s.opcode = rnd_range(0, 1) ? ACK : READ_REQUEST;
		s.payload_len = 4 * rnd_range(1, 20);
		break;
	case 3:
		/* No whole words. */
		s.payload_len += rnd_range(1, 3);
		break;
	default:
		/* Cut within the headers. */
		s.opcode = rnd_range(0, 1) ? CMP_SWAP : READ_REQUEST;
		s.payload_len = 0;
		frame_make(f, &v->route, &s);
		f->len -= 4 * rnd_range(1, 4);
		frame_seal(f);
		return;
	}
	frame_make(f, &v->route, &s);
}

void forge_spoil(struct frame *f)
{
	size_t from = frame_bth(f) + 5, to = f->len - 1;

	if (from > frame_icrc(f))
		from = frame_icrc(f);
	f->bytes[rnd_range(from, to)] ^= rnd_range(1, 255);
}
