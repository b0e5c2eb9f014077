// Frames whole or not at all: their marks, what a loss takes along, what expires, what overflows.

import { mutations } from "./table.mjs";

const rows = (file, list, first) => mutations("frames", file, list, first);

export const frames = [
  ...rows("frame.c", [
    [
      "a frame is not continued without a start",
      "cont ? s->open == QS_NONE && !s->discarding : s->open != QS_NONE",
      "!cont && s->open != QS_NONE",
    ],
    [
      "a frame is not started twice",
      "cont ? s->open == QS_NONE && !s->discarding : s->open != QS_NONE",
      "cont && s->open == QS_NONE && !s->discarding",
    ],
    [
      "the rest of a lost frame is dropped on arrival",
      "s->open == QS_NONE && !s->discarding",
      "s->open == QS_NONE",
    ],
    ["... until its end", "if (a->flags & QSOCKET_END)\n\t\ts->discarding = 0;", ""],
    ["... or the next start", "if (!cont)\n\t\ts->discarding = 0;", ""],
    [
      "a frame has at most 1024 messages",
      ">= QSOCKET_FRAME_MESSAGES_MAX",
      "> QSOCKET_FRAME_MESSAGES_MAX",
    ],
    [
      "what is due now is refused",
      "if (a->deadline_ns <= now_ns) {",
      "if (a->deadline_ns < now_ns) {",
    ],
    [
      "a refused message takes its frame along",
      "if (s->open != QS_NONE)\n\t\t\tqs_lose(link, s->open, QSOCKET_INCOMPLETE);",
      "",
    ],
    [
      "a refused start takes what follows along",
      "if ((a->flags & QSOCKET_FRAME) && !(a->flags & QSOCKET_END))",
      "if (0)",
    ],
    ["a refused unit is a miss", "qs_missed(link, stream);\n\t\tif (reason != ", "if (reason != "],
    [
      "a refused reference breaks the chain",
      "if (reason != QSOCKET_DEPENDENCY && s->lossy && level < 2)",
      "if (0)",
    ],
    ["... a leaf does not", "s->lossy && level < 2)", "s->lossy && level < 3)"],
    ["... nor what is undroppable", "s->lossy && level < 2)", "level < 2)"],
    [
      "a frame is due by its earliest deadline",
      "if (a->deadline_ns < u->due_ns)",
      "if (u->due_ns == QS_FOREVER)",
    ],
    ["what is droppable and due expires", "s->lossy && u->due_ns != QS_FOREVER", "0"],
    [
      "what is undroppable does not",
      "s->lossy && u->due_ns != QS_FOREVER",
      "u->due_ns != QS_FOREVER",
    ],
    [
      "a frame's bytes are all its messages'",
      "\tu->bytes += a->bytes;\n\tif (a->deadline",
      "\tif (a->deadline",
    ],
  ]),
  ...mutations("dependency", "frame.c", [
    [
      "arrival: after a loss nothing until a group starts",
      "s->chain == QS_BROKEN ? level > 0",
      "s->chain == QS_BROKEN ? level > 1",
    ],
    [
      "arrival: ... whose leading frames lean on it",
      ": (a->flags & QSOCKET_LEADING) != 0;",
      ": 0;",
    ],
    [
      "arrival: what has no level leans on nothing",
      "level == QSOCKET_LEVEL_NONE || s->chain",
      "s->chain",
    ],
    [
      "arrival: undroppable streams lose nothing for it",
      "!s->lossy || level == QSOCKET",
      "level == QSOCKET",
    ],
    [
      "arrival: a group's start is not yet sound",
      "s->chain == QS_BROKEN ? QS_RECOVERING : QS_SOUND",
      "QS_SOUND",
    ],
    [
      "arrival: what leads no more mends it",
      "s->chain == QS_BROKEN ? QS_RECOVERING : QS_SOUND",
      "QS_RECOVERING",
    ],
    [
      "arrival: what has no level mends nothing",
      "if (level_of(a->flags) != QSOCKET_LEVEL_NONE)",
      "if (1)",
    ],
    [
      "arrival: asked again after room was made",
      "\tif (!cont && leans_on_loss(s, a))\n\t\treturn drop_dependent(link, stream, a, queued);\n\tif (!cont)",
      "\tif (!cont)",
    ],
    [
      "arrival: asked before room is made at others' expense",
      "\tif (!cont && leans_on_loss(s, a))\n\t\treturn drop_dependent(link, stream, a, queued);\n\tswitch",
      "\tswitch",
    ],
  ]),
  ...mutations("dependency", "lose.c", [
    ["a lost reference takes along what needs it", "if (referenced)", "if (0)"],
    ["... a leaf does not", "s->lossy && u->level < 2;", "s->lossy && u->level < 3;"],
    ["... a P does", "s->lossy && u->level < 2;", "s->lossy && u->level < 1;"],
    ["queued: a group's start ends it", "chain == QS_BROKEN && v->level == 0", "0"],
    [
      "queued: leading frames go too",
      "chain == QS_BROKEN || v->flags & QS_LEADS",
      "chain == QS_BROKEN",
    ],
    ["queued: what leads no more is sound", "\t\t\t\treturn; /* sound", "\t\t\t\t; /* sound"],
    ["queued: what has no level is let be", "if (v->level != QSOCKET_LEVEL_NONE)", "if (1)"],
    ["what comes after the queue is told", "s->chain = (uint8_t)chain;", ";"],
    [
      "the rest of a dependent frame has its reason",
      "reason == QSOCKET_DEPENDENCY ? reason : QSOCKET_INCOMPLETE",
      "QSOCKET_INCOMPLETE",
    ],
  ]),
  ...mutations("expiry", "lose.c", [
    [
      "what is due now has expired",
      "link->units[unit].due_ns > now_ns)\n",
      "link->units[unit].due_ns >= now_ns)\n",
    ],
    [
      "... with the reason expired if it was whole",
      "QS_ENDED ? QSOCKET_EXPIRED : QSOCKET_INCOMPLETE",
      "QS_ENDED ? QSOCKET_INCOMPLETE : QSOCKET_INCOMPLETE",
    ],
    [
      "... else as a frame",
      "QS_ENDED ? QSOCKET_EXPIRED : QSOCKET_INCOMPLETE",
      "QS_ENDED ? QSOCKET_EXPIRED : QSOCKET_EXPIRED",
    ],
    [
      "a begun frame that cannot end in time is broken off",
      "p->bytes) > p->due_ns)",
      "p->bytes) > QS_FOREVER - 1)",
    ],
    ["... and no other", "p->bytes) > p->due_ns)", "p->bytes) >= p->due_ns)"],
    ["a lost unit's messages are all dropped", "\t\ti = next;\n", "\t\ti = QS_NONE;\n"],
  ]),
  ...mutations("expiry", "sched.c", [
    [
      "what has expired is lost before it is served",
      "\tif (QS_POLICY(link)->lossy)\n\t\tqs_expire",
      "\tif (0)\n\t\tqs_expire",
    ],
    [
      "an idle link wakes for what expires",
      "unit == QS_NONE ? QS_FOREVER : link->units[unit].due_ns",
      "QS_FOREVER",
    ],
  ]),
  ...mutations("overflow", "frame.c", [
    ["a stream's messages are bounded", "s->messages < s->messages_max && ", ""],
    [
      "a stream's bytes are bounded",
      "s->bytes + a->bytes <= s->bytes_max",
      "s->bytes <= s->bytes_max",
    ],
    [
      "... to the byte",
      "s->bytes + a->bytes <= s->bytes_max",
      "s->bytes + a->bytes < s->bytes_max",
    ],
    [
      "a link's messages are bounded",
      "link->messages_len < link->messages_max",
      "link->messages_len <= link->messages_max",
    ],
    [
      "best effort has half of them",
      "link->rest_len >= link->rest_max && best_effort",
      "link->rest_len > link->rest_max && best_effort",
    ],
    ["... only what is best effort", "link->rest_max && best_effort(link, s, a)", "link->rest_max"],
    [
      "what is larger than the queue evicts nothing",
      "\tif (a->bytes > s->bytes_max)\n\t\treturn NO_ROOM;\n",
      "",
    ],
    [
      "what has expired makes room first",
      "\tif (QS_POLICY(link)->lossy)\n\t\tqs_expire",
      "\tif (0)\n\t\tqs_expire",
    ],
    [
      "nothing is lost where best effort gains nothing by it",
      "!link->messages[victim->first].rest",
      "0",
    ],
    ["undroppable streams evict nothing", "\t\tif (!s->lossy)\n\t\t\treturn NO_ROOM;\n", ""],
    [
      "a frame that is continued is worth what its start is",
      "drop = link->units[s->open].drop;",
      ";",
    ],
    ["... and has its level", "level = link->units[s->open].level;", ";"],
    [
      "a frame does not evict itself",
      "qs_least_valuable(link, s, s->open)",
      "qs_least_valuable(link, s, QS_NONE)",
    ],
    ["what is worth more is not evicted", "link->units[victim].drop > drop ||", ""],
    [
      "of equal drop only a higher level is",
      "link->units[victim].level <= level))",
      "link->units[victim].level < level))",
    ],
    [
      "what is lost while room is made is dropped",
      "if (cont && s->open == QS_NONE)\n\t\t\treturn DISCARDED;",
      "",
    ],
    [
      "evicted has the reason overflow",
      "qs_lose(link, victim, QSOCKET_OVERFLOW)",
      "qs_lose(link, victim, QSOCKET_WINDOW)",
    ],
  ]),
  ...mutations("overflow", "worth.c", [
    ["the lowest drop goes first", "(uint32_t)u->drop * QS_LEVELS + ", ""],
    ["of equal drop the highest level", "(QS_LEVELS - 1u - u->level)", "u->level"],
    [
      "of equal worth the last to come",
      "return unit;\n\t}",
      "{ while (link->units[unit].older != QS_NONE && link->units[unit].older != except) unit = link->units[unit].older; return unit; }\n\t}",
    ],
    ["not the one excepted", "kind == except ? link->units[kind].older : kind", "kind"],
  ]),
];
