// Who gets how much: best effort's sixteenth, the shares of sfq, the classes of cbq.

import { mutations } from "./table.mjs";

const rest = (file, list) => mutations("best effort", file, list);
const fair = (list) => mutations("sfq", "fair.c", list, "sfq");
const cbq = (file, list, first = "cbq") => mutations("cbq", file, list, first);

export const sharing = [
  ...rest("sched.c", [
    [
      "has its turn after a sixteenth",
      "link->credit >= (uint64_t)bytes * QSOCKET_BEST_EFFORT_SHARE",
      "link->credit >= (uint64_t)bytes * 2 * QSOCKET_BEST_EFFORT_SHARE",
    ],
    [
      "... and not before",
      "link->credit >= (uint64_t)bytes * QSOCKET_BEST_EFFORT_SHARE",
      "link->credit >= (uint64_t)bytes",
    ],
    [
      "pays for its turn",
      "uint64_t used = (uint64_t)bytes * QSOCKET_BEST_EFFORT_SHARE",
      "uint64_t used = 0",
    ],
    [
      "saves nothing up while it has nothing to send",
      "if (link->rest_streams == 0)\n\t\t\tlink->credit = 0;\n\t\telse",
      "",
    ],
    [
      "saves up no more than a large packet's worth",
      "link->credit + bytes < most ? link->credit + bytes : most",
      "link->credit + bytes",
    ],
    [
      "no never-frame pays for its turn",
      "qs_endangers(link, unit, ahead, QSOCKET_DROP_NEVER - 1, now_ns)",
      "0",
    ],
    [
      "... but any other may",
      "qs_endangers(link, unit, ahead, QSOCKET_DROP_NEVER - 1, now_ns)",
      "qs_endangers(link, unit, ahead, 0, now_ns)",
    ],
    [
      "... and none pays for the rest of its frame",
      "u->flags & QS_BEGUN ? bytes : u->bytes",
      "bytes",
    ],
    ["its virtual time goes on", "\t\tlink->vtime = s->tag;\n", ""],
  ]),
  ...rest("parts.h", [
    ["a period makes a stream managed", "policy->all || period_ns > 0 ||", "policy->all ||"],
    [
      "a deadline does under edf only",
      "(policy->by_deadline && due_ns != QS_FOREVER)",
      "due_ns != QS_FOREVER",
    ],
    ["nobody is best effort under sfq and cbq", "policy->all || ", ""],
  ]),
  ...rest("ready.c", [
    ["shares by bytes", "s->tag + link->units[s->head].bytes", "s->tag + 1"],
    [
      "a stream goes on from its finish tag",
      "s->finish > link->vtime ? s->finish : link->vtime",
      "link->vtime",
    ],
    ["... but saves nothing up", "s->finish > link->vtime ? s->finish : link->vtime", "s->finish"],
    ["the lowest tag goes first", "{s->tag, s->seq, 0}", "{0, s->seq, 0}"],
    ["first come goes first of equal tags", "{s->tag, s->seq, 0}", "{s->tag, ~s->seq, 0}"],
  ]),

  ...fair([
    [
      "virtual time is the start tag in service",
      "fair->vtime = link->streams[qs_fair_first(link, fair)].tag;",
      ";",
    ],
    ["... of whose turn it was", "link->streams[qs_fair_first(link, fair)].tag", "s->tag"],
    ["idle, it is the highest finish tag", "\t\tfair->vtime = fair->finish;\n", "\t\t;\n"],
    ["... once all has left", "qs_whole_ns(link, stream) > fair->free_ns", "1"],
    ["... the highest of all", "(int64_t)(s->finish - fair->finish) > 0", "1"],
    [
      "a served stream waits from its finish tag",
      "link->streams[served].tag = link->streams[served].finish;",
      ";",
    ],
    [
      "the first is looked for again when it goes",
      "if (fair->first == stream)\n\t\tfair->first = QS_NONE;",
      "",
    ],
    [
      "... and when an earlier one comes",
      "if (fair->first != QS_NONE && tag_before(s, &streams[fair->first]))",
      "if (0)",
    ],
  ]),

  ...cbq("cbq.c", [
    ["virtual time is that of whose turn it is", "if (classes->turn == leaf)", "if (1)"],
    ["... and goes on", "classes->vtime[source][class->priority] = share->ns;", ";"],
    [
      "a share is charged from where it starts",
      "\tshare->ns = start_tag(classes, class, source);\n",
      "",
    ],
    [
      "a share counts by the class's weight",
      "qs_clock_advance(share, class->weight, bytes)",
      "qs_clock_advance(share, 1, bytes)",
    ],
    [
      "each way to send has shares of its own",
      "*share = &class->shares[source]",
      "*share = &class->shares[QS_OWN]",
    ],
    [
      "what may not send for itself is finished as promised",
      "return unit == QS_NONE ? QS_NONE : link->units[unit].stream",
      "return QS_NONE",
    ],
    ["a class without a source does not send", "if (source == QS_NO_SOURCE)\n\t\t\tcontinue;", ""],
    ["the link wakes for the first that may", "ns < next_ns ? ns : next_ns", "ns"],
    ["classes are charged", "\tqs_class_charge(link, leaf, bytes, now_ns);\n", ""],
    ["a stream that joins a class brings no debts", "\t\ts->finish = class->streams.vtime;\n", ""],
    [
      "a class wakes once for all its streams",
      "\tif (idle)\n\t\tqs_class_wake",
      "\tif (1)\n\t\tqs_class_wake",
    ],
    [
      "... as of when it had something whole",
      "qs_class_wake(classes, s->leaf, qs_whole_ns(link, stream))",
      "qs_class_wake(classes, s->leaf, 0)",
    ],
  ]),
  ...cbq("class.c", [
    ["a burst is 10 ms", "BURST_NS 10000000u", "BURST_NS 20000000u"],
    ["... or 3000 bytes", "BURST_BYTES 3000u", "BURST_BYTES 6000u"],
    ["what is left counts for a 256th at least", "LEFT_SHARE 256u", "LEFT_SHARE 16u"],
    ["a clock carries what its division leaves", "1000000000ull + clock->carry", "1000000000ull"],
    [
      "may send by its rate once the clock is there",
      "class->rated.ns <= now_ns",
      "class->rated.ns < now_ns",
    ],
    [
      "a class without a rate has none of its own",
      "class->rate && class->rated.ns <= now_ns",
      "class->rated.ns <= now_ns",
    ],
    [
      "a ceiling holds until the clock is there",
      "class->ceiled.ns > now_ns",
      "class->ceiled.ns >= now_ns",
    ],
    ["a ceiling at the link's rate binds nobody", "class->ceil < link->rate", "1"],
    [
      "ceilings of classes above hold as well",
      "return 0;\n\t\tif (!class->parent)\n",
      "return 0;\n\t\tif (1)\n",
    ],
    ["a class that does not borrow waits", "while (class->borrows) {", "while (1) {"],
    [
      "what is borrowed of a class goes before what is of the link",
      "return QS_OF_LINK;",
      "return QS_OF_CLASS;",
    ],
    ["what is borrowed goes behind what is guaranteed", "return QS_OF_CLASS;", "return QS_OWN;"],
    [
      "borrows of classes within their rate only",
      "class = &classes->all[class->parent];\n\t\tif (within_rate(class, now_ns))",
      "class = &classes->all[class->parent];\n\t\tif (1)",
    ],
    ["wakes for whom it borrows of, if it borrows", "\t\tborrows &= class->borrows;\n", ""],
    ["wakes at once if it borrows of the link", "\t\t\tsource_ns = 0;\n", "\t\t\t;\n"],
    ["wakes when both clocks are there", "open_ns > source_ns ? open_ns : source_ns", "source_ns"],
    [
      "idling saves up a burst at most",
      "forget(&class->rated, later_by(time_ns, burst_ns(class->rate)));",
      ";",
    ],
    [
      "... and takes nothing away while something leaves",
      "class->rate && time_ns > class->free_ns",
      "class->rate",
    ],
    [
      "a late turn is made good up to a packet of each",
      "forget(&class->rated, later_by(held_ns, burst_ns(class->rate)));",
      ";",
    ],
    ["... and no less", "(classes->len + 1ull) * QSOCKET_PACKET_BYTES_MAX", "0"],
    [
      "a ceiling's credit is a burst",
      "forget(&class->ceiled, later_by(now_ns, burst_ns(class->ceil)));",
      ";",
    ],
    [
      "the class of the rest has the last priority",
      "classes->all[0].priority = QSOCKET_CLASS_PRIORITIES - 1;",
      "",
    ],
    ["a class weighs its rate", "class->rate > least ? class->rate : least", "least"],
    ["a class with classes below is no leaf", "classes->all[g->parent].leaf = 0;", ";"],
  ]),
  ...cbq("class.c", [
    [
      "refused: a leaf that can never send",
      "(classes->all[i].leaf && i && !has_source(classes, i))",
      "0",
    ],
    ["refused: a parent that comes later", "class->parent < number", "class->parent <= number"],
    ["refused: a ceiling below the rate", "(!class->ceil || class->rate <= class->ceil)", "1"],
    ["refused: more than the parent has", "classes->all[i].promised > rate ||", ""],
    [
      "... and not exactly as much",
      "classes->all[i].promised > rate ||",
      "classes->all[i].promised >= rate ||",
    ],
    ["refused: to join a class that is no leaf", " && classes->all[class_id].leaf;", ";"],
    ["the same classes have the same ceilings", "class->ceil != g->ceil ||", "0 ||"],
  ], "c/classes"),
];
