// What is counted of what happened: messages, bytes and frames, sent, late, dropped and partial.

import { mutations } from "./table.mjs";

const rows = (file, list, first) => mutations("counters", file, list, first);

export const counters = [
  ...rows("sched.c", [
    ["late is told from sent", "if (packet->outcome == QSOCKET_LATE)\n\t\ts->late++;\n\telse", ""],
    ["bytes sent", "s->sent_bytes += m->bytes", "s->sent_bytes += bytes"],
    ["messages queued", "\ts->messages--;\n", ""],
    ["a link's messages queued", "\tlink->messages_len--;\n", ""],
    ["bytes queued", "\ts->bytes -= bytes;\n", ""],
    ["best effort's messages queued", "\tlink->rest_len -= m->rest;\n", ""],
    [
      "a frame's seq is that of its first unit",
      "packet->frame_seq = qs_frame_seq(link, u)",
      "packet->frame_seq = u->seq",
    ],
  ]),
  ...rows("lose.c", [
    ["messages dropped by reason", "ledger->dropped[reason]++", "ledger->dropped[0]++"],
    [
      "messages dropped by priority",
      "ledger->dropped_by_priority[drop]++",
      "ledger->dropped_by_priority[0]++",
    ],
    ["bytes dropped", "ledger->dropped_bytes += bytes", "ledger->dropped_bytes += 1"],
    [
      "frames dropped by level and reason",
      "ledger->frames_dropped[u->level][reason]++",
      "ledger->frames_dropped[0][reason]++",
    ],
    ["frames partial", "\t\tledger->frames_partial++;\n", ""],
    ["messages queued less those dropped", "\t\ts->messages--;\n", ""],
    ["bytes queued less those dropped", "s->bytes -= m->left", "s->bytes -= m->bytes"],
    ["a link's messages less those dropped", "\t\tlink->messages_len--;\n", ""],
    ["best effort's messages less those dropped", "\t\tlink->rest_len -= m->rest;\n", ""],
  ]),
  ...rows("frame.c", [
    [
      "a refused message is counted as dropped",
      "qs_count_lost(link, stream, drop_of(a->flags), a->bytes, reason)",
      "qs_count_lost(link, stream, 0, a->bytes, reason)",
    ],
    ["frames offered", "frames_offered[link->units[unit].level]++", "frames_offered[0]++"],
    ["frames refused are offered", "\t\t\tledger->frames_offered[level]++;\n", ""],
    ["frames refused are dropped", "\t\t\tledger->frames_dropped[level][reason]++;\n", ""],
    [
      "fifo: frames of which a message was refused",
      "ledger->frames_dropped[s->fifo_level][s->fifo_lost]++",
      "ledger->frames_sent[s->fifo_level]++",
    ],
    [
      "fifo: partial if any was taken",
      "ledger->frames_partial += s->fifo_kept",
      "ledger->frames_partial += 0",
    ],
  ]),
  ...rows("outcome.c", [
    ["frames sent", "ledger->frames_sent[level]++;", "ledger->frames_sent[0]++;"],
    ["frames late", "ledger->late_frame == frame;", "0;"],
    [
      "a frame is late if any message is",
      "if (packet->outcome == QSOCKET_LATE)\n\t\tledger->late_frame",
      "if (packet->frame_done && packet->outcome == QSOCKET_LATE)\n\t\tledger->late_frame",
    ],
    [
      "a frame of which anything was refused is dropped",
      "if (ledger->failed_frame == frame) {",
      "if (0) {",
    ],
    [
      "... and partial if anything left",
      "\t\tcount_partial(ledger, frame);\n\t\treturn;",
      "\t\treturn;",
    ],
    ["... once", "|| ledger->partial_frame == frame", ""],
    ["the longest delay", "if (delay_ns > s->delay_ns_max)", "if (0)"],
    ["delays by length", "qs_delay_bucket(delay_ns));", "0);"],
    ["... in two halves", "delays->high[bucket]++;", ";"],
    ["the sum of delays", "s->delay_ns_sum += delay_ns", "s->delay_ns_sum += 1"],
    [
      "a refused message is not sent",
      "\t\t\ts->sent--;\n\t\ts->sent_bytes",
      "\t\t\t;\n\t\ts->sent_bytes",
    ],
    ["a refused frame's rest is given up", "give_up(link, packet, level, reason);", ";"],
    ["a refused reference takes along what needs it", "\tqs_break_chain(link, s, unit);\n", ""],
    ["... a leaf does not", "|| level > 1)", "|| level > 2)"],
    ["kept waiting beyond its deadline is late", "\ts->late++;\n}", "}"],
  ], "c/errors"),
  ...rows("stream.c", [
    [
      "offered: what is sent, late, queued or dropped",
      "s->sent + s->late + s->messages",
      "s->sent + s->messages",
    ],
    ["offered bytes: what was handed out of the head", " + handed_out_bytes(link, s);", ";"],
    [
      "a frame cut off by closing is dropped",
      "ledger->frames_dropped[s->fifo_level][s->fifo_lost ? s->fifo_lost : reason]++",
      ";",
    ],
    [
      "a new stream starts from nothing",
      "clear(&link->ledgers[stream], sizeof(struct qs_ledger));",
      ";",
    ],
    ["a frame given up is dropped", "qs_lose(link, s->open, QSOCKET_INCOMPLETE);", ";"],
    [
      "fifo: a frame given up is partial, if any was taken",
      "QSOCKET_INCOMPLETE, s->fifo_kept);",
      "QSOCKET_INCOMPLETE, 0);",
    ],
    ["... and nothing more is awaited of it", "\ts->discarding = 0;\n", ""],
    ["... no delays either", "clear(&link->delays[stream], sizeof(struct qs_delays));", ";"],
    ["a frame open is told", "s->open != QS_NONE || s->fifo_open", "s->open != QS_NONE"],
  ]),
];
