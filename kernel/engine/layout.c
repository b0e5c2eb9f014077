/* SPDX-License-Identifier: MIT
 *
 * The ABI as this compiler lays it out, for bindings to compare theirs with:
 * "qsend_args 64" for a struct, "qsend_args.deadline_us 20 4" for a field.
 */
#include <stdio.h>
#include <string.h>

#include "../host.h"

#define STRUCT(name)                                                                               \
	{                                                                                          \
#name, "", 0, sizeof(struct name)                                                  \
	}
#define FIELD(name, field)                                                                         \
	{                                                                                          \
#name, #field, offsetof(struct name, field), sizeof(((struct name *)0)->field)     \
	}

/* clang-format off */
static const struct {
	const char *name, *field;
	size_t offset, bytes;
} layout[] = {
	STRUCT(qsocket_addr),
	FIELD(qsocket_addr, family),
	FIELD(qsocket_addr, port),
	FIELD(qsocket_addr, scope),
	FIELD(qsocket_addr, bytes),

	STRUCT(qsocket_attr),
	FIELD(qsocket_attr, ipg_ns),
	FIELD(qsocket_attr, oln),
	FIELD(qsocket_attr, old),
	FIELD(qsocket_attr, flags),
	FIELD(qsocket_attr, queue_messages),
	FIELD(qsocket_attr, queue_bytes),
	FIELD(qsocket_attr, unit_bytes),
	FIELD(qsocket_attr, weight),
	FIELD(qsocket_attr, class_id),
	FIELD(qsocket_attr, zero),

	STRUCT(qsocket_class),
	FIELD(qsocket_class, rate),
	FIELD(qsocket_class, ceil),
	FIELD(qsocket_class, parent),
	FIELD(qsocket_class, priority),
	FIELD(qsocket_class, flags),
	FIELD(qsocket_class, zero),

	STRUCT(qsocket_admission),
	FIELD(qsocket_admission, utilisation_ppm),
	FIELD(qsocket_admission, flags),
	FIELD(qsocket_admission, zero),

	STRUCT(qsockinit_args),
	FIELD(qsockinit_args, device),
	FIELD(qsockinit_args, scheduler),
	FIELD(qsockinit_args, rate),
	FIELD(qsockinit_args, flags),
	FIELD(qsockinit_args, queue_messages),
	FIELD(qsockinit_args, classes_len),
	FIELD(qsockinit_args, streams),
	FIELD(qsockinit_args, gid),
	FIELD(qsockinit_args, mode),
	FIELD(qsockinit_args, host),
	FIELD(qsockinit_args, zero),
	FIELD(qsockinit_args, obstacle),
	FIELD(qsockinit_args, why),
	FIELD(qsockinit_args, classes),

	STRUCT(qsocket_args),
	FIELD(qsocket_args, link),
	FIELD(qsocket_args, type),
	FIELD(qsocket_args, attr),
	FIELD(qsocket_args, local),
	FIELD(qsocket_args, peer),
	FIELD(qsocket_args, admission),

	STRUCT(qattach_args),
	FIELD(qattach_args, link),
	FIELD(qattach_args, type),
	FIELD(qattach_args, fd),
	FIELD(qattach_args, zero),
	FIELD(qattach_args, attr),
	FIELD(qattach_args, local),
	FIELD(qattach_args, peer),
	FIELD(qattach_args, admission),

	STRUCT(qchange_args),
	FIELD(qchange_args, handle),
	FIELD(qchange_args, zero),
	FIELD(qchange_args, rate),
	FIELD(qchange_args, attr),
	FIELD(qchange_args, admission),

	STRUCT(qsend_args),
	FIELD(qsend_args, handle),
	FIELD(qsend_args, flags),
	FIELD(qsend_args, data),
	FIELD(qsend_args, data_len),
	FIELD(qsend_args, deadline_us),
	FIELD(qsend_args, at_ns),
	FIELD(qsend_args, message),
	FIELD(qsend_args, zero),
	FIELD(qsend_args, to),

	STRUCT(qclose_args),
	FIELD(qclose_args, handle),
	FIELD(qclose_args, flags),

	STRUCT(qsocket_info),
	FIELD(qsocket_info, kind),
	FIELD(qsocket_info, host),
	FIELD(qsocket_info, scheduler),
	FIELD(qsocket_info, rate),
	FIELD(qsocket_info, attr),
	FIELD(qsocket_info, window_lost),
	FIELD(qsocket_info, window_left),
	FIELD(qsocket_info, violations),
	FIELD(qsocket_info, offered),
	FIELD(qsocket_info, sent),
	FIELD(qsocket_info, late),
	FIELD(qsocket_info, dropped),
	FIELD(qsocket_info, dropped_by_priority),
	FIELD(qsocket_info, offered_bytes),
	FIELD(qsocket_info, sent_bytes),
	FIELD(qsocket_info, dropped_bytes),
	FIELD(qsocket_info, queued),
	FIELD(qsocket_info, queued_bytes),
	FIELD(qsocket_info, frames_offered),
	FIELD(qsocket_info, frames_sent),
	FIELD(qsocket_info, frames_late),
	FIELD(qsocket_info, frames_dropped),
	FIELD(qsocket_info, frames_partial),
	FIELD(qsocket_info, delay_ns_sum),
	FIELD(qsocket_info, delay_ns_max),
	FIELD(qsocket_info, delays),
	FIELD(qsocket_info, socket_errors),
	FIELD(qsocket_info, syscalls),
	FIELD(qsocket_info, state),
	FIELD(qsocket_info, last_error),
	FIELD(qsocket_info, streams),
	FIELD(qsocket_info, gate),
	FIELD(qsocket_info, utilisation_ppm),
	FIELD(qsocket_info, sndbuf_bytes),
	FIELD(qsocket_info, unsent_bytes),
	FIELD(qsocket_info, peer_window_bytes),
	FIELD(qsocket_info, cwnd),
	FIELD(qsocket_info, rtt_us),
	FIELD(qsocket_info, retransmits),

	STRUCT(qinfo_args),
	FIELD(qinfo_args, handle),
	FIELD(qinfo_args, zero),
	FIELD(qinfo_args, info),

	STRUCT(qsocket_event),
	FIELD(qsocket_event, at_ns),
	FIELD(qsocket_event, stream),
	FIELD(qsocket_event, message),
	FIELD(qsocket_event, bytes),
	FIELD(qsocket_event, outcome),
	FIELD(qsocket_event, reason),
	FIELD(qsocket_event, zero),

	STRUCT(qrun_args),
	FIELD(qrun_args, link),
	FIELD(qrun_args, events_max),
	FIELD(qrun_args, until_ns),
	FIELD(qrun_args, now_ns),
	FIELD(qrun_args, events_len),
	FIELD(qrun_args, zero),

	STRUCT(qlist_stream),
	FIELD(qlist_stream, cookie),
	FIELD(qlist_stream, handle),
	FIELD(qlist_stream, pid),
	FIELD(qlist_stream, uid),
	FIELD(qlist_stream, zero),
	FIELD(qlist_stream, command),
	FIELD(qlist_stream, info),

	STRUCT(qlist_args),
	FIELD(qlist_args, link),
	FIELD(qlist_args, streams_max),
	FIELD(qlist_args, stream_bytes),
	FIELD(qlist_args, scope),
	FIELD(qlist_args, after),
	FIELD(qlist_args, streams_len),
	FIELD(qlist_args, zero),

	STRUCT(qsocket_record),
	FIELD(qsocket_record, turn),
	FIELD(qsocket_record, kind),
	FIELD(qsocket_record, reason),
	FIELD(qsocket_record, outcome),
	FIELD(qsocket_record, zero),
	FIELD(qsocket_record, stream),
	FIELD(qsocket_record, message),
	FIELD(qsocket_record, at_ns),
	FIELD(qsocket_record, time_ns),
	FIELD(qsocket_record, value),
	FIELD(qsocket_record, bytes),
	FIELD(qsocket_record, flags),
	FIELD(qsocket_record, result),
	FIELD(qsocket_record, zero2),
	FIELD(qsocket_record, attr),

	STRUCT(qsocket_trace),
	FIELD(qsocket_trace, device),
	FIELD(qsocket_trace, scheduler),
	FIELD(qsocket_trace, rate),
	FIELD(qsocket_trace, guard_ns),
	FIELD(qsocket_trace, streams_max),
	FIELD(qsocket_trace, messages_max),
	FIELD(qsocket_trace, records_len),
	FIELD(qsocket_trace, zero),
	FIELD(qsocket_trace, missed),
};
/* clang-format on */

int32_t qsocket_layout(char *text, uint32_t text_len)
{
	size_t len = 0;

	for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
		char line[96];
		int n;

		if (*layout[i].field)
			n = snprintf(line, sizeof(line), "%s.%s %zu %zu\n", layout[i].name,
				     layout[i].field, layout[i].offset, layout[i].bytes);
		else
			n = snprintf(line, sizeof(line), "%s %zu\n", layout[i].name,
				     layout[i].bytes);
		if (len + (size_t)n <= text_len && text)
			memcpy(text + len, line, (size_t)n);
		len += (size_t)n;
	}
	return (int32_t)len;
}
