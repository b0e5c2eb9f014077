/* SPDX-License-Identifier: MIT
 *
 * From a batch of packets to the network, in the order they were handed out.
 *
 * Datagrams of one socket that follow each other go in one sendmmsg(2).
 * Datagrams of one frame that follow each other and are equal in size (the
 * last may be shorter) are joined to one buffer that the kernel cuts again
 * (UDP_SEGMENT, udp(7)): it walks the stack as one packet, and costs about a
 * fourth. Only those of one frame: whoever drops such a packet drops all of it.
 * Where the kernel will not (a segment above the MTU, a device or a tunnel
 * that cannot) the stream's datagrams go one by one from then on.
 *
 * An error is either the network's present state (a full buffer, a full
 * device queue: the packet is kept, and what the batch has of its stream behind
 * it), another datagram's (an ICMP answer to an earlier one, reported by
 * whichever send comes next: tried again), or this packet's own.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "engine.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* What one mmsghdr carries: whole packets of the batch, first to last, or a
 * part of one. */
struct load {
	uint32_t first, last;
	uint32_t skip; /* of what is left of the first, and goes with earlier loads */
	uint32_t bytes;
	uint16_t segment; /* 0: a single datagram */
};

static struct outgoing *in_batch(struct engine *e, uint32_t i)
{
	return &e->hand[e->batch[i]];
}

static uint32_t datagram_bytes(const struct parcel *parcel, uint32_t left)
{
	return parcel->segment && parcel->segment < left ? parcel->segment : left;
}

static int same_destination(const struct parcel *a, const struct parcel *b)
{
	return a->to_len == b->to_len && !memcmp(&a->to, &b->to, a->to_len);
}

/* The next load: from `skip` bytes into packet `first` on. */
static struct load join(struct engine *e, uint32_t first, uint32_t skip, uint32_t end, int gso)
{
	const struct outgoing *o = in_batch(e, first);
	const struct parcel *parcel = &e->parcels[o->packet.message];
	uint32_t segment = datagram_bytes(parcel, o->left - skip), segments;
	struct load load = {first, first, skip, segment, 0};

	if (!gso || segment == 0)
		return load;
	load.bytes = o->left - skip;
	segments = (load.bytes + segment - 1) / segment;
	for (uint32_t i = first + 1; i < end && load.bytes % segment == 0; i++) {
		const struct outgoing *next = in_batch(e, i);
		const struct parcel *p = &e->parcels[next->packet.message];
		uint32_t datagram = datagram_bytes(p, next->left);

		segments += datagram ? (next->left + datagram - 1) / datagram : 1;
		if (next->packet.unit_seq != o->packet.unit_seq || datagram == 0 ||
		    datagram > segment || (datagram < segment && datagram < next->left) ||
		    load.bytes + next->left > ENGINE_DATAGRAM_BYTES ||
		    segments > QSOCKET_SEGMENTS_MAX || !same_destination(parcel, p))
			break;
		load.bytes += next->left;
		load.last = i;
	}
	if (load.bytes > segment)
		load.segment = (uint16_t)segment;
	return load;
}

static uint32_t fill_iovecs(struct engine *e, const struct load *load, struct iovec *iovecs)
{
	const struct outgoing *o = in_batch(e, load->first);
	uint32_t len;

	if (load->first == load->last)
		return payload_iovecs(&e->payload, e->parcels[o->packet.message].chunk,
				      o->at + load->skip, load->bytes, iovecs);
	len = 0;
	for (uint32_t i = load->first; i <= load->last; i++) {
		o = in_batch(e, i);
		len += payload_iovecs(&e->payload, e->parcels[o->packet.message].chunk, o->at,
				      o->left, iovecs + len);
	}
	return len;
}

static void fill_header(struct engine *e, uint32_t index, const struct load *load,
			struct iovec *iovecs)
{
	struct parcel *parcel = &e->parcels[in_batch(e, load->first)->packet.message];
	struct msghdr *header = &e->messages[index].msg_hdr;
	struct cmsghdr *control;

	*header = (struct msghdr){
		.msg_iov = iovecs,
		.msg_iovlen = fill_iovecs(e, load, iovecs),
		.msg_name = parcel->to_len ? &parcel->to : NULL,
		.msg_namelen = parcel->to_len,
	};
	if (!load->segment)
		return;
	header->msg_control = e->controls[index].bytes;
	header->msg_controllen = sizeof(e->controls[index].bytes);
	control = CMSG_FIRSTHDR(header);
	control->cmsg_level = IPPROTO_UDP;
	control->cmsg_type = UDP_SEGMENT;
	control->cmsg_len = CMSG_LEN(sizeof(load->segment));
	memcpy(CMSG_DATA(control), &load->segment, sizeof(load->segment));
}

/* As many loads of packets first..end-1 as one call takes. */
static uint32_t fill(struct engine *e, uint32_t first, uint32_t end, int gso, struct load *loads)
{
	uint32_t len = 0, iovecs = 0, skip = 0;

	while (first < end && len < ENGINE_BATCH_PACKETS) {
		struct load *load = &loads[len];

		*load = join(e, first, skip, end, gso);
		/* each packet may begin and end within a chunk */
		if (iovecs + load->bytes / ENGINE_LARGE_BYTES + 2 * (load->last - load->first + 1) >
		    ENGINE_BATCH_IOVECS)
			break;
		fill_header(e, len, load, e->iovecs + iovecs);
		iovecs += (uint32_t)e->messages[len++].msg_hdr.msg_iovlen;
		if (load->first == load->last && skip + load->bytes < in_batch(e, first)->left) {
			skip += load->bytes;
		} else {
			first = load->last + 1;
			skip = 0;
		}
	}
	return len;
}

static void mark(struct engine *e, uint32_t first, uint32_t end, enum packet_state state)
{
	for (uint32_t i = first; i < end; i++)
		if (in_batch(e, i)->state == PACKET_UNSENT)
			in_batch(e, i)->state = (uint8_t)state;
}

/* The network took so many bytes of a load: of a TCP write perhaps not all. */
static void took(struct engine *e, const struct load *load, uint32_t bytes)
{
	for (uint32_t i = load->first; i <= load->last; i++) {
		struct outgoing *o = in_batch(e, i);
		uint32_t part = bytes < o->left ? bytes : o->left;

		o->at += part;
		o->left -= part;
		o->partly = 1;
		bytes -= part;
		if (!o->left)
			o->state = PACKET_SENT;
	}
}

/* Whether a datagram's error may be an earlier one's: what an ICMP answer to it
 * is turned into, reported once by the next call on its socket (udp(7); the
 * numbers are icmp_err_convert's and icmpv6_err_convert's in the kernel). */
static int may_be_pending(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENONET:
	case ENOPROTOOPT:
	case EPROTO:
		return 1;
	default:
		return 0;
	}
}

/* What a failed call means for the load it failed on. PACKET_UNSENT: try again. */
static enum packet_state judge(struct engine_stream *s, const struct load *load, struct outgoing *o,
			       int error, uint32_t *retries)
{
	if (error == EINTR)
		return PACKET_UNSENT;
	if (error == EAGAIN || error == EWOULDBLOCK)
		return PACKET_NO_ROOM;
	o->errors++;
	o->last_error = error;
	if (error == ENOBUFS || error == ENOMEM)
		return PACKET_PAUSED;
	if (s->socket.type == QSOCKET_UDP && may_be_pending(error) &&
	    *retries < ENGINE_RETRIES_MAX) {
		(*retries)++;
		stack_forget(s->socket.fd);
		return PACKET_UNSENT;
	}
	if (load->segment && (error == EINVAL || error == EIO || error == EOPNOTSUPP ||
			      error == EMSGSIZE || error == ENOPROTOOPT)) {
		s->no_gso = 1;
		return PACKET_UNSENT;
	}
	return PACKET_FAILED;
}

/* Packets first..end-1, of one stream. Returns PACKET_PAUSED if the device
 * takes no more from anyone. */
static enum packet_state send_run(struct engine *e, uint32_t first, uint32_t end)
{
	struct engine_stream *s = &e->streams[in_batch(e, first)->packet.stream];
	struct load loads[ENGINE_BATCH_PACKETS];
	uint32_t retries = 0;

	while (first < end) {
		struct outgoing *o = in_batch(e, first);
		uint32_t len =
			fill(e, first, end, s->socket.type == QSOCKET_UDP && !s->no_gso, loads);
		int sent = sendmmsg(s->socket.fd, e->messages, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		enum packet_state state = PACKET_UNSENT;

		assert(len > 0);
		o->calls++;
		if (sent < 0) {
			state = judge(s, &loads[0], o, errno, &retries);
		} else {
			retries = 0;
			for (int i = 0; i < sent; i++)
				took(e, &loads[i], e->messages[i].msg_len);
		}
		if (state == PACKET_FAILED)
			mark(e, loads[0].first, loads[0].last + 1, state);
		else if (state != PACKET_UNSENT)
			mark(e, first, end, state);
		if (state == PACKET_PAUSED)
			return state;
		while (first < end && in_batch(e, first)->state != PACKET_UNSENT)
			first++;
	}
	return PACKET_SENT;
}

/* Packets of a stream that follow each other, and have not been put off. */
static uint32_t run_end(struct engine *e, uint32_t first, uint32_t len)
{
	uint32_t stream = in_batch(e, first)->packet.stream, end = first + 1;

	while (end < len && in_batch(e, end)->packet.stream == stream)
		end++;
	return end;
}

/* A stream keeps its order: behind a packet that found no room nothing of it
 * is tried in this batch. */
static void put_off(struct engine *e, uint32_t from, uint32_t len, uint32_t stream)
{
	for (uint32_t i = from; i < len; i++)
		if (in_batch(e, i)->packet.stream == stream)
			mark(e, i, i + 1, PACKET_NO_ROOM);
}

void engine_send_batch(struct engine *e, uint32_t len)
{
	uint32_t end;

	for (uint32_t first = 0; first < len; first = end) {
		end = first + 1;
		if (in_batch(e, first)->state != PACKET_UNSENT)
			continue;
		end = run_end(e, first, len);
		if (send_run(e, first, end) == PACKET_PAUSED) {
			mark(e, end, len, PACKET_PAUSED);
			return;
		}
		if (in_batch(e, end - 1)->state == PACKET_NO_ROOM)
			put_off(e, end, len, in_batch(e, first)->packet.stream);
	}
}
