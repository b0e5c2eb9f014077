/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The frame marks that a datagram has when it reaches a queue below the stack:
 * another sender's than this library may say any, and a datagram may have been cut
 * on its way. A message that was cut (RFC 791, section 3.2; RFC 8200, section 4.5)
 * is a frame of its fragments, or they are that part of a frame that it was.
 */
#ifndef QS_MARKS_H
#define QS_MARKS_H

#include "../qsocket.h"

#define QS_IPV4_MORE 0x2000u /* of an IPv4 header's flags and offset, in host order */
#define QS_IPV4_OFFSET 0x1fffu
#define QS_IPV6_MORE 0x0001u /* of a fragment header's offset and flags */
#define QS_IPV6_OFFSET 0xfff8u

/* Flags that a message may have. */
static inline uint32_t qs_marks_sound(uint32_t flags)
{
	return flags & QSOCKET_FRAME ? flags
				     : flags & ~(QSOCKET_START | QSOCKET_END | QSOCKET_LEADING);
}

static inline uint32_t qs_marks_of_fragment(uint32_t flags, int first, int last)
{
	if (!(flags & QSOCKET_FRAME))
		flags |= QSOCKET_FRAME | QSOCKET_START | QSOCKET_END;
	if (!first)
		flags &= ~QSOCKET_START;
	return last ? flags : flags & ~QSOCKET_END;
}

/* Of a packet, by these 16 bits of its header; it may be whole. */
static inline uint32_t qs_marks_ipv4(uint32_t flags, uint32_t cut)
{
	if (!(cut & (QS_IPV4_MORE | QS_IPV4_OFFSET)))
		return flags;
	return qs_marks_of_fragment(flags, !(cut & QS_IPV4_OFFSET), !(cut & QS_IPV4_MORE));
}

/* Of one that has a fragment header. */
static inline uint32_t qs_marks_ipv6(uint32_t flags, uint32_t cut)
{
	return qs_marks_of_fragment(flags, !(cut & QS_IPV6_OFFSET), !(cut & QS_IPV6_MORE));
}

#endif
