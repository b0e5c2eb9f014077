// Who may begin, what is given up for whom, and what a link can keep of what is asked for.

import { mutations } from "./table.mjs";

const rows = (file, list, first) => mutations("admission", file, list, first);

export const admission = [
  ...rows("admit.c", [
    [
      "doomed: counts what is promised",
      "bytes += QS_ZERO + p->bytes;\n\t}\n\treturn !in_time(link, now_ns + guard",
      "}\n\treturn !in_time(link, now_ns + guard",
    ],
    ["doomed: ... if it is due before", "if (!qs_due_before(p, u))\n\t\t\tbreak;", ""],
    [
      "doomed: whole by its deadline",
      "uint64_t bytes = QS_ZERO + u->bytes;",
      "uint64_t bytes = 1;",
    ],
    ["in time: by the deadline itself", "link->lag_ns + 1;", "link->lag_ns;"],
    ["in time: no later", "(ns * link->rate - 1)", "(ns * link->rate)", { first: "c/guard" }],
    ["in time: not what is over already", "if (expiry_ns < now_ns)\n\t\treturn -1;", "", {
      first: "c/guard",
    }],
    ["in time: what the host overslept is made good", "now_ns + link->lag_ns + 1", "now_ns + 1", {
      first: "c/guard",
    }],
    ["in time: long times do not overflow", "ns > link->product_ns_max", "0", { first: "c/guard" }],
    [
      "a guard is asked for, against small delays",
      "link->guard_ns < eighth ? link->guard_ns : eighth",
      "0",
      { first: "c/guard" },
    ],
    [
      "... but no more than an eighth of a lifetime",
      "link->guard_ns < eighth ? link->guard_ns : eighth",
      "link->guard_ns",
      { first: "c/guard" },
    ],
    [
      "fits: each promised frame ends in time",
      "bytes += QS_ZERO + p->bytes;\n\t\tif (!in_time(link, now_ns, bytes, p->due_ns))\n\t\t\treturn 0;",
      "bytes += QS_ZERO + p->bytes;",
    ],
    [
      "fits: behind what is due before it",
      "other == unit || (!listed && qs_due_before(u, p))",
      "other == unit",
    ],
    [
      "fits: its own rest ends in time among them",
      "if (!in_time(link, now_ns, bytes, u->due_ns))",
      "if (0)",
      { first: "c/guard" },
    ],
    [
      "fits: the packet goes first",
      "uint64_t bytes = QS_ZERO + packet_bytes;",
      "uint64_t bytes = 0;",
    ],
    ["fits: its rest counts", "bytes += QS_ZERO + u->bytes - packet_bytes;", ";"],
    [
      "fits: what does not expire has no deadline to keep",
      "int listed = !(u->flags & QS_MORTAL);",
      "int listed = 0;",
    ],
    [
      "endangers: what is worth as much is no reason",
      "v->drop > drop &&",
      "v->drop >= drop &&",
      {
        equivalent: "the thresholds, which begin above the unit's own worth, leave it out as well",
      },
    ],
    [
      "endangers: a unit is no reason to lose itself",
      "other != unit && ",
      "",
      {
        equivalent: "it is worth no more than itself, or is best effort's, which is not looked at",
      },
    ],
    [
      "endangers: best effort is no reason",
      "qs_manages(QS_POLICY(link), link->streams[v->stream].period_ns, v->due_ns)",
      "1",
    ],
    [
      "endangers: looks at 128 units",
      "visited < QSOCKET_LOOKAHEAD_MAX",
      "visited < QSOCKET_LOOKAHEAD_MAX + 1",
    ],
    [
      "endangers: ... not fewer",
      "visited < QSOCKET_LOOKAHEAD_MAX",
      "visited < QSOCKET_LOOKAHEAD_MAX - 1",
    ],
    ["endangers: what is late either way is no reason", "if (all > most)\n\t\t\t\tcontinue;", ""],
    ["endangers: what is late only with it is", "all + (int64_t)bytes > most", "0"],
    ["endangers: to the byte", "all + (int64_t)bytes > most", "all + (int64_t)bytes >= most"],
    ["endangers: what goes before counts", "counted[least] = all;", ";"],
    ["endangers: every threshold of worth", "least = drop + 1u", "least = v->drop"],
    [
      "endangers: ... not the lowest alone",
      "least <= v->drop; least++",
      "least <= drop + 1u; least++",
    ],
    [
      "endangers: what is promised before it counts",
      "before += QS_ZERO + units[link->promised[promised++]].bytes",
      "promised++",
    ],
    [
      "endangers: what is promised behind it counts",
      "if (room[promised] < most)\n\t\t\tmost = room[promised];",
      "",
    ],
    ["endangers: ... however far behind", "if (room[i + 1] < room[i])", "if (0)"],
    ["endangers: planned for twice the guard", "v->due_ns - 2 * guard_ns(link, v)", "v->due_ns", {
      first: "c/guard",
    }],
    [
      "endangers: who is worth more than all asks nobody",
      "if (link->watch.drops >> (drop + 1) == 0)\n\t\treturn 0;",
      "",
      { equivalent: "it only spares the walk, which would find nobody" },
    ],
    ["no overload: counts what is promised", "bytes + promised_bytes,", "bytes,"],
    [
      "no overload: counts what waits",
      "link->watch.bytes + bytes + promised_bytes",
      "bytes + promised_bytes",
    ],
    [
      "no overload: by the first deadline of what is promised",
      "first_ns = units[link->promised[0]].due_ns;",
      ";",
      {
        equivalent:
          "what fits before the first that waits leaves each that waits in time; whether " +
          "the promised ones are is what qs_fits() asks",
      },
    ],
    [
      "promised: in the order of expiry",
      "if (!qs_due_before(&link->units[unit], &link->units[other]))",
      "if (1)",
    ],
    [
      "promised: the first to expire goes first",
      "link->promised_len ? link->promised[0]",
      "link->promised_len ? link->promised[link->promised_len - 1]",
    ],
    [
      "promised: others move up when one is over",
      "link->promised[i] = link->promised[i + 1];",
      ";",
    ],
  ]),
  ...rows("sched.c", [
    ["doomed units are dropped before they begin", "mortal && qs_doomed(link, unit, now_ns)", "0"],
    [
      "... with the reason expired",
      "qs_lose(link, unit, QSOCKET_EXPIRED)",
      "qs_lose(link, unit, QSOCKET_WINDOW)",
    ],
    [
      "given up: for what is worth more",
      "qs_endangers(link, unit, u->bytes, u->drop, now_ns)",
      "0",
    ],
    [
      "given up: whole",
      "qs_endangers(link, unit, u->bytes, u->drop, now_ns)",
      "qs_endangers(link, unit, bytes, u->drop, now_ns)",
    ],
    ["given up: only within the window", "qs_window_allows_loss(s) &&", ""],
    ["given up: not what is undroppable", "s->managed && s->lossy &&", "s->managed &&"],
    ["given up: not best effort", "s->managed && s->lossy &&", "s->lossy &&"],
    [
      "given up: not what is never dropped",
      "u->drop < QSOCKET_DROP_NEVER && ",
      "",
      { equivalent: "nothing is worth more than never, so qs_endangers() finds nobody" },
    ],
    [
      "a begun frame's promise is kept: what does not fit waits",
      "qs_fits(link, unit, bytes, now_ns) ? SERVE : WAIT",
      "SERVE",
    ],
    ["... and the first promised goes instead", "verdict == WAIT && promised != QS_NONE", "0"],
    [
      "nothing promised, nothing to keep",
      "if (link->promised_len == 0)\n\t\t\treturn SERVE;",
      "",
      { equivalent: "it only spares qs_fits(), which says yes to what is not doomed" },
    ],
    [
      "16 frames are begun at most",
      "link->promised_len < QSOCKET_BEGUN_MAX",
      "link->promised_len < QSOCKET_BEGUN_MAX - 1",
    ],
    [
      "what cannot be promised does not begin",
      "if (mortal && bytes < u->bytes && !promises(link, u))\n\t\t\treturn WAIT;",
      "",
    ],
    [
      "a frame of one packet needs no promise",
      "mortal && bytes < u->bytes && !promises",
      "mortal && !promises",
    ],
    ["what begins is promised", "if (!packet->frame_done && promises(link, u))", "if (0)"],
    ["a frame that does not expire is not promised", "return u->flags & QS_MORTAL && ", "return "],
    [
      "a blocked stream's frame is not promised",
      "if (blocked)\n\t\t\tqs_unpromise",
      "if (0)\n\t\t\tqs_unpromise",
      { first: "c/guard" },
    ],
    [
      "... and is again when it goes on",
      "else if (promises(link, &link->units[unit]))",
      "else if (0)",
      { first: "c/guard" },
    ],
  ]),
  ...rows("feasible.c", [
    ["asks: (1 - x/y) where windows count", "lossy ? attr->old - attr->oln : 1", "1"],
    ["asks: all where nothing is dropped", "!(attr->flags & QSOCKET_UNDROPPABLE);", "1;"],
    ["asks: nothing without a period", "if (!attr->ipg_ns)\n\t\treturn;", ""],
    ["periods differ: under dwcs and dwcs99 only", "policy->equal_periods && windowed", "windowed"],
    ["periods differ: only of windows that may violate", " && attr->oln < attr->old", ""],
    [
      "a stream's demand is counted",
      "booked->all.bytes += times",
      "booked->all.bytes += 0 * times",
    ],
    ["... and its parts of a byte", "booked->all.parts += times", "booked->all.parts += 0 * times"],
    [
      "... in its class as well",
      "booked->classes[ask->class_id].bytes += times",
      "booked->classes[ask->class_id].bytes += 0 * times",
    ],
    ["a change takes the old demand out", "count(booked, &before, (uint64_t)-1);", ";"],
    [
      "overbooked: above the rate, not at it",
      "admission->utilisation_ppm > PPM",
      "admission->utilisation_ppm >= PPM",
    ],
    ["overbooked: rounded up", " + (left % rate || (parts & UINT32_MAX))", ""],
    ["refused: only who asks for more", "asks_more(&before, &after))", "1)"],
    [
      "refused: who moves to another class asks",
      "if (after->class_id != before->class_id)",
      "if (0)",
    ],
    [
      "under cbq a class's guarantee counts",
      "return classes->all[class_id].rate;",
      "return link->rate;",
    ],
    ["periods are told apart by every digit", "times * digit * digit", "times * digit"],
  ], "admission"),
  ...rows("stream.c", [
    [
      "a stream that goes asks for nothing",
      "\tqs_unbook(link, s);\n\tif (s->ledgered)",
      "\tif (s->ledgered)",
    ],
    ["a changed stream asks anew", "\tqs_book(link, s);\n", ""],
  ], "admission"),
];
