/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * How much of a link's room there is for a message that comes, where users share
 * one below the stack, of whom a scheduler knows nothing: what the link's
 * messages_max is to be while it is taken.
 */
#ifndef QS_ROOM_H
#define QS_ROOM_H

#include <stdint.h>

#define QS_NEIGHBOURS 0u /* the flow of best effort that asks for them */
#define QS_ROOM_SHARE 2u /* a user may have 1/2 of the room that is left */

/* For a user who has as much of the room as anybody may the link is full: a
 * message can still take the place of one of its own stream. However many users
 * do their worst, some room is left to whoever comes then. */
static inline uint32_t qs_room_of_user(uint32_t most, uint32_t len, uint32_t queued)
{
	return len && len < most && queued >= (most - len) / QS_ROOM_SHARE ? len : most;
}

/* Half of the link is out of best effort's reach. An eighth of it is not out of
 * that of questions for a neighbour, as all that goes there waits for the answer:
 * they may have half of what is said here. */
static inline uint32_t qs_room_of_question(uint32_t most, uint32_t len)
{
	return len < most ? most + most / 4 : most;
}

#endif
