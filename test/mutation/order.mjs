// Who goes first: the precedence of each policy, what a window counts, and where a head is ranked.

import { mutations } from "./table.mjs";

const precedence = (file, rows, first) => mutations("precedence", file, rows, first);

export const order = [
  ...precedence("dwcs.c", [
    ["dwcs 1: the earliest deadline goes first", "key->first = s->rank_ns", "key->first = 0"],
    ["dwcs 1: ... and not the latest", "key->first = s->rank_ns", "key->first = ~s->rank_ns"],
    [
      "dwcs 2: of equal deadlines the lowest W' goes first",
      "tolerance(x_left, y_left) << 16",
      "(uint64_t)0",
    ],
    [
      "dwcs 2: ... and not the highest",
      "tolerance(x_left, y_left) << 16",
      "(UINT64_MAX - tolerance(x_left, y_left)) << 16",
    ],
    ["dwcs 2: W' is compared as a fraction, unrounded", "<< 33) / y_left", "<< 8) / y_left"],
    ["dwcs 3: of W' = 0 the highest y' goes first", "QSOCKET_WINDOW_MAX - y_left", "y_left"],
    ["dwcs 4: of equal W' > 0 the lowest x' goes first", ": x_left);", ": 0);"],
    ["dwcs 4: ... and not the highest", ": x_left);", ": QSOCKET_WINDOW_MAX - x_left);"],
    ["dwcs 5: first come goes first", "key->third = s->seq", "key->third = ~s->seq"],
    ["dwcs: without a window W' = 1/1", "s->y ? s->x_left : 1", "s->y ? s->x_left : 0"],
    ["dwcs: a missed deadline moves on by the period", "\t.slides = 1,\n", ""],
  ]),
  ...precedence("dwcs99.c", [
    ["dwcs99 1: the lowest W' goes first", "(x_left << 33) / y_left << 16", "(uint64_t)0"],
    ["dwcs99 1: W' is compared as a fraction, unrounded", "(x_left << 33)", "(x_left << 8)"],
    ["dwcs99 2: of W' = 0 the highest y' goes first", "QSOCKET_WINDOW_MAX - y_left", "y_left"],
    ["dwcs99 3: then the earliest deadline", "key->second = s->rank_ns", "key->second = 0"],
    ["dwcs99 3: deadlines before x'", "key->second = s->rank_ns", "key->second = x_left"],
    ["dwcs99 4: then the lowest x'", "x_left << 48 | s->seq", "s->seq"],
    ["dwcs99 5: first come goes first", "x_left << 48 | s->seq", "x_left << 48 | (~s->seq >> 16)"],
    ["dwcs99: without a window W' = 1/1", "s->y ? s->x_left : 1", "s->y ? s->x_left : 0"],
    ["dwcs99: a missed deadline moves on by the period", "\t.slides = 1,\n", ""],
    ["dwcs99: misses go by rank, not by its order", "\t.ranks_apart = 1,\n", ""],
  ]),
  ...precedence("vds.c", [
    ["vds 1: due k'T/m' after the period's start", "spread_ns / owed;", "spread_ns;"],
    ["vds 1: ... which counts", "s->release_ns + spread_ns", "spread_ns"],
    ["vds 1: k' is what is left of the window", "s->y_left * s->period_ns", "s->y * s->period_ns"],
    ["vds 1: m' is what is left to be owed", "s->y_left - s->x_left : 0", "s->y - s->x : 0"],
    [
      "vds 1: virtual deadlines are compared unrounded",
      "(spread_ns % owed << 32) / owed << 32 | ",
      "",
    ],
    ["vds 2: then the highest m'/k'", "((uint64_t)s->x_left << 32) / s->y_left", "(uint64_t)0"],
    ["vds 3: first come goes first", "key->third = s->seq", "key->third = ~s->seq"],
    ["vds 4: what owes nothing comes last", "OWES_NOTHING | s->rank_ns", "s->rank_ns"],
    ["vds 4: ... by the earliest deadline", "OWES_NOTHING | s->rank_ns", "OWES_NOTHING"],
    ["vds 4: ... then first come", "s->rank_ns, s->seq, 0", "s->rank_ns, ~s->seq, 0"],
    ["vds: misses go by rank, not by its order", "\t.ranks_apart = 1,\n", ""],
  ]),
  ...precedence("edf.c", [
    ["edf 1: the earliest deadline goes first", "{s->rank_ns, s->seq, 0}", "{0, s->seq, 0}"],
    ["edf 2: first come goes first", "{s->rank_ns, s->seq, 0}", "{s->rank_ns, ~s->seq, 0}"],
    ["edf looks at no window", "{s->rank_ns, s->seq, 0}", "{s->rank_ns, s->x_left, s->seq}"],
    [
      "edf: a deadline is enough to be managed",
      "\t.lossy = 1,\n\t.by_deadline = 1,",
      "\t.lossy = 1,",
    ],
    ["edf: what cannot arrive in time is dropped", "\t.lossy = 1,\n", ""],
    ["edf-lossless: nothing is dropped", '"edf-lossless",', '"edf-lossless",\n\t.lossy = 1,'],
  ]),
  ...precedence("fifo.c", [
    ["fifo: first come goes first", "{s->seq, 0, 0}", "{~s->seq, 0, 0}"],
    ["fifo looks at no deadline", "{s->seq, 0, 0}", "{s->rank_ns, s->seq, 0}"],
    ["fifo: message by message", '.name = "fifo",', '.name = "fifo",\n\t.frames = 1,'],
  ]),
  ...precedence(
    "fair.c",
    [
      [
        "sfq 1: the lowest start tag goes first",
        "ahead != 0 ? ahead < 0",
        "ahead != 0 ? ahead > 0",
      ],
      ["sfq 2: first come goes first", "a->seq < b->seq", "a->seq > b->seq"],
      ["sfq: tags are compared by their difference", "ahead < 0 :", "a->tag < b->tag :", {
        first: "c/classes",
      }],
      [
        "sfq: a stream goes on from its finish tag",
        "<= LEAD_MAX ? s->finish :",
        "<= LEAD_MAX ? fair->vtime :",
      ],
      ["sfq: ... but not from one of the past", "s->finish - fair->vtime <= LEAD_MAX", "1"],
      ["sfq: a finish tag is l/w later", "cost / s->weight", "cost"],
      ["sfq: what the division leaves is carried", "<< TAG_SHIFT) + s->carry", "<< TAG_SHIFT)"],
    ],
    "sfq",
  ),
  ...precedence(
    "cbq.c",
    [
      ["cbq 1: a class within its rate goes first", "source * QSOCKET_CLASS_PRIORITIES +", "0 +"],
      [
        "cbq 1: ... whatever its priority",
        "source * QSOCKET_CLASS_PRIORITIES + class->priority",
        "source + class->priority * QS_NO_SOURCE",
      ],
      [
        "cbq 2: then the lowest priority number",
        "QSOCKET_CLASS_PRIORITIES + class->priority;",
        "QSOCKET_CLASS_PRIORITIES;",
      ],
      [
        "cbq 3: then the share served least",
        "(int64_t)(tag - best_tag) < 0",
        "(int64_t)(tag - best_tag) > 0",
      ],
      [
        "cbq 3: shares' tags are compared by their difference",
        "(int64_t)(tag - best_tag) < 0",
        "tag < best_tag",
        { first: "c/classes" },
      ],
      ["cbq 3: a tag of the past counts as now", "tag - vtime <= LEAD_MAX ? tag : vtime", "tag"],
      ["cbq 3: a share goes on from its tag", "tag - vtime <= LEAD_MAX ? tag : vtime", "vtime"],
      ["cbq: none sends above its ceiling", " || !qs_class_open(link, i, now_ns)", ""],
    ],
    "cbq",
  ),

  ...mutations("window", "window.c", [
    ["served: y' goes down while above x'", "\t\ts->y_left--;\n\t} else", "\t} else"],
    ["served: at x' = y' a loss is forgone", "s->x_left--;\n\t\ts->y_left--;", "s->y_left--;"],
    ["served: ... and not before", "s->y_left > s->x_left", "s->y_left > s->x_left + 1"],
    [
      "served: x' = y' is not 0 of a window",
      "else if (s->x_left > 0)",
      "else",
      { equivalent: "x' = y' = 0 is a window that began anew at once: y' is at least 1" },
    ],
    [
      "served: begins anew at 0/0, not at x' = y'",
      "s->tagged || (s->x_left == 0 && s->y_left == 0)",
      "s->tagged || s->x_left == s->y_left",
    ],
    [
      "served: begins anew at 0/0 at all",
      "s->tagged || (s->x_left == 0 && s->y_left == 0)",
      "s->tagged",
    ],
    ["served: a tagged window begins anew", "s->tagged || (s->x_left", "(s->x_left"],
    [
      "a window that begins anew is whole: x'",
      "s->x_left = s->x;\n\ts->y_left = s->y;\n\ts->tagged",
      "s->y_left = s->y;\n\ts->tagged",
    ],
    ["a window that begins anew is whole: y'", "\ts->y_left = s->y;\n\ts->tagged", "\ts->tagged"],
    ["a window that begins anew is not tagged", "\ts->tagged = 0;\n", ""],
    ["missed: a loss is spent", "s->x_left = (uint16_t)(s->x_left - spent)", "s->x_left += 0"],
    [
      "missed: a unit of the window is over",
      "s->y_left = (uint16_t)(s->y_left - spent)",
      "s->y_left += 0",
    ],
    ["missed: begins anew at 0/0", "\t\t\ts->x_left = s->x;\n\t\t\ts->y_left = s->y;\n", ""],
    [
      "missed: ... and not at 0/y'",
      "times -= spent;\n\t\tif (s->x_left == 0 && s->y_left == 0)",
      "times -= spent;\n\t\tif (s->x_left == 0)",
    ],
    ["missed: each of several counts", "times -= spent", "times = 0"],
    ["missed: what one window does not bear the next one does", "window < 2", "window < 1"],
    [
      "missed: ... and none after that",
      "window < 2",
      "window < 3",
      { equivalent: "where x < y a whole window of losses leaves x' = 0; x = y has its own way" },
    ],
    ["missed: a window of x = y turns round", "times % s->x", "0"],
    ["missed: ... and is never violated", "s->x == s->y && s->x_left == s->y_left", "0"],
    ["violated: y' grows", "(times < room ? times : room)", "0"],
    ["violated: y' grows by each miss", "(times < room ? times : room)", "(room ? 1 : 0)"],
    ["violated: y' is capped", "(times < room ? times : room)", "times"],
    [
      "violated: the cap is 65535",
      "QSOCKET_WINDOW_MAX - s->y_left : 0",
      "QSOCKET_WINDOW_MAX - 1 - s->y_left : 0",
    ],
    ["violated: is tagged", "\ts->tagged = 1;\n", ""],
    ["violated: is counted", "\ts->violations += times;\n", ""],
    ["violated: each miss is counted", "s->violations += times", "s->violations++"],
    ["nothing is given up at x' = 0", "s->y == 0 || s->x_left > 0", "1"],
    ["without a window all may be given up", "s->y == 0 || s->x_left > 0", "s->x_left > 0"],
  ]),
  ...mutations("window", "sched.c", [
    ["in time by its rank is served", "if (done_ns <= s->rank_ns)", "if (done_ns < s->rank_ns)"],
    ["late by its rank is missed", "if (done_ns <= s->rank_ns)", "if (1)"],
    [
      "each period beyond the rank is a miss",
      "qs_window_missed(s, periods)",
      "qs_window_missed(s, 1)",
    ],
    ["a rank that is now has passed", "s->rank_ns > now_ns", "s->rank_ns >= now_ns"],
  ]),
  ...mutations("window", "lose.c", [
    ["a unit that is lost is a miss", "\tqs_missed(link, stream);\n", ""],
    [
      "a miss changes the stream's order",
      "\tif (s->competes)\n\t\tqs_reorder",
      "\tif (0)\n\t\tqs_reorder",
    ],
  ]),
  ...mutations("window", "stream.c", [
    ["a window that does not change goes on", "if (!same_window)", "if (1)"],
    ["a window that changes begins anew", "if (!same_window)", "if (0)"],
  ]),

  ...mutations("rank", "sched.c", [
    [
      "a release is a period after the one before",
      "s->release_ns + s->period_ns : 0",
      "s->release_ns : 0",
    ],
    ["... also of a unit that was lost", "\t\ts->released = 1;\n", ""],
    [
      "a release is not before the arrival",
      "u->arrival_ns > earliest_ns ? u->arrival_ns : earliest_ns",
      "s->released ? earliest_ns : u->arrival_ns",
    ],
    [
      "a release is not the arrival alone",
      "u->arrival_ns > earliest_ns ? u->arrival_ns : earliest_ns",
      "u->arrival_ns",
    ],
    [
      "a rank is not before the release",
      "u->due_ns > s->release_ns ? u->due_ns : s->release_ns",
      "u->due_ns",
    ],
    [
      "without a deadline a rank is a period later",
      "s->period_ns ? s->release_ns + s->period_ns",
      "s->period_ns ? s->release_ns",
    ],
    [
      "without period and deadline a rank is never",
      "s->release_ns + s->period_ns : QS_FOREVER",
      "s->release_ns + s->period_ns : s->release_ns",
    ],
    ["a slide takes the release along", "\t\ts->release_ns += periods * s->period_ns;\n", ""],
    ["a unit competes once its end is there", "!(u->flags & QS_ENDED) || ", ""],
    ["a blocked stream does not compete", "s->head == QS_NONE || s->blocked", "s->head == QS_NONE"],
    [
      "in time at the deadline is not late",
      "done_ns > m->deadline_ns",
      "done_ns >= m->deadline_ns",
    ],
    [
      "a frame is in time by each message's deadline",
      "done_ns > m->deadline_ns",
      "done_ns > u->due_ns",
    ],
    [
      "misses are counted before each decision",
      "if (QS_POLICY(link)->slides)\n\t\t\tslide",
      "if (0)\n\t\t\tslide",
    ],
  ]),
  ...mutations("rank", "stream.c", [
    ["a new period forgets the releases of the old", "\t\ts->released = 0;", "\t\t"],
    [
      "a new period ranks the head anew",
      "link->units[s->head].flags &= (uint16_t)~QS_READY",
      "link->units[s->head].flags += 0",
    ],
    ["a period that goes leaves a begun head unmanaged", "\t\t\ts->managed = 0;\n", "\t\t\t;\n"],
  ]),
];
