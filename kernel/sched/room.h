/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * How many messages may be queued on a link: of best effort, and below the stack
 * just then, for whoever sends one. Of those who share a link there a scheduler
 * knows nothing: its host lowers and raises messages_max and rest_max for as
 * long as a message is taken.
 */
#ifndef QS_ROOM_H
#define QS_ROOM_H

#include <stdint.h>

#define QS_NEIGHBOURS 0u /* the flow of best effort that asks for them */
#define QS_ROOM_SHARE 2u /* a user may have 1/2 of the room that is left */

/* Half of the link is out of best effort's reach. */
static inline uint32_t qs_room_of_rest(uint32_t most)
{
	return most / 2;
}

/* All that goes to a neighbour waits for the answer to the question where it is:
 * an eighth of the link more is in reach of those questions, and out of that of
 * all other flows, also under a policy of which nothing is best effort. */
static inline uint32_t qs_room_of_questions(uint32_t most)
{
	return qs_room_of_rest(most) + most / 8;
}

static inline uint32_t qs_room_of_flows(uint32_t most)
{
	return most - most / 8;
}

/* For a user who has as much of the room as anybody may the link is full: a
 * message can still take the place of one of its own stream. However many users
 * do their worst, some room is left to whoever comes then. */
static inline uint32_t qs_room_of_user(uint32_t most, uint32_t len, uint32_t queued)
{
	return len && len < most && queued >= (most - len) / QS_ROOM_SHARE ? len : most;
}

#endif
