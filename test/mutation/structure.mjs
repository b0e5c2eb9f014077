// What keeps things in order: the ring of buckets, the heap, the tree of what expires, the queues.

import { mutations } from "./table.mjs";

const rows = (file, list, first) => mutations("structure", file, list, first);

export const structure = [
  ...rows("heap.c", [
    ["heap: by the first part of the key", "return a->first < b->first;", "return 0;"],
    ["heap: then by the second", "return a->second < b->second;", "return 0;"],
    ["heap: then by the third", "return a->third < b->third", "return 0"],
    [
      "heap: a newcomer rises",
      "put(heap, rise(heap, heap->len++, entry), entry)",
      "put(heap, heap->len++, entry)",
    ],
    ["heap: the last one sinks into the gap", "\tplace = sink(heap, place, &last);\n", ""],
    ["heap: ... or rises from it", "\tplace = rise(heap, place, &last);\n", ""],
    [
      "heap: of all four children the first",
      "child + ARITY < heap->len ? child + ARITY : heap->len",
      "child + ARITY - 1 < heap->len ? child + ARITY - 1 : heap->len",
    ],
    [
      "heap: who moves knows his place",
      "heap->places[entry->stream].c = place;",
      "if (place == 0)\n\t\theap->places[entry->stream].c = place;",
    ],
  ]),
  ...rows("ring.c", [
    ["ring: a full bucket refuses", " || bucket->len >= QS_BUCKET_MAX", ""],
    ["ring: what is out of reach is refused", "number - ring->base > ring->mask || ", ""],
    ["ring: keys too far off are refused", "\tif (number >= NUMBER_MAX)\n\t\treturn 0;\n", ""],
    ["ring: an empty one begins anew", "if (ring->len == 0) { /* begins", "if (0) { /* begins"],
    [
      "ring: ... with reach before",
      "number > ring->mask / 4 ? number - ring->mask / 4 : 0",
      "number",
    ],
    [
      "ring: an earlier one is the first",
      "\t\tif (number < ring->first)\n\t\t\tring->first = number;\n",
      "",
    ],
    [
      "ring: a full chunk gets another before it",
      "new_chunk(ring, bucket->chunk)",
      "new_chunk(ring, QS_NONE)",
    ],
    [
      "ring: chunks are used again",
      "\tring->chunks_next[chunk] = ring->chunks_free;\n\tring->chunks_free = chunk;\n",
      "",
    ],
    [
      "ring: the last takes the place of who goes",
      "ring->chunks[place->a].ids[place->b] = last;",
      ";",
    ],
    [
      "ring: ... and knows it",
      "ring->places[last] = (struct qs_place){place->a, place->b, place->c};",
      ";",
    ],
    [
      "ring: an empty bucket has no bit",
      "if (--bucket->len == 0)\n\t\tunmark(ring, slot);",
      "--bucket->len;",
    ],
    [
      "ring: the next first is looked for when it has gone",
      "\t\tfind_first(ring);\n\t\treturn 0;",
      "\t\tring->first++;\n\t\treturn 0;",
    ],
    [
      "ring: all of a bucket is taken",
      "bucket->chunk = next;\n\t}\n\tring->len -= len;",
      "bucket->chunk = next;\n\t\tbreak;\n\t}\n\tring->len -= len;",
    ],
    [
      "ring: what comes up is behind its base",
      "ring->base = ring->first + 1",
      "ring->base = ring->first",
    ],
    [
      "ring: the search goes on in the next word",
      "bits = after(ring->words[group], word % WORD_BITS)",
      "bits = 0",
    ],
    [
      "ring: ... and in the next group",
      "lowest(bits ? bits : ring->groups)",
      "lowest(ring->groups)",
    ],
    ["ring: a bit goes from its word's bit", "\tif (ring->bits[word])\n\t\treturn;\n", ""],
  ]),
  ...rows("ready.c", [
    [
      "queue: what comes up goes to the heap",
      "heap.entries[0].key.first >= queue->ring.first",
      "heap.entries[0].key.first + (1ull << 40) < queue->ring.first",
    ],
    [
      "queue: ... also beside its equals",
      "key.first >= queue->ring.first << queue->ring.shift",
      "key.first > queue->ring.first << queue->ring.shift",
    ],
    ["queue: few need no buckets, but only if there are none", "queue->ring.len == 0 && ", ""],
    [
      "queue: ranks apart are moved as well",
      "\tif (QS_POLICY(link)->ranks_apart) {\n\t\ttake_out(&link->ranks, stream);\n\t\tadd(&link->ranks, link, stream);\n\t}\n",
      "",
    ],
    ["queue: by rank where ranks are apart", "{s->rank_ns, s->seq, 0}", "{0, s->seq, 0}"],
    ["queue: a stream taken out of a ring", "if (place & QS_IN_RING)", "if (0)"],
  ]),
  ...rows("watch.c", [
    ["watch: the first to expire is known", "watch->first = unit;\n}", "}"],
    [
      "watch: ... and its successor when it goes",
      "watch->first = successor(watch, unit);",
      "watch->first = watch->root;",
    ],
    [
      "watch: by expiry",
      "slot = qs_due_before(&units[unit], &units[parent]) ?",
      "slot = units[unit].seq < units[parent].seq ?",
    ],
    ["watch: covers only what is due no earlier", "prev->due_ns <= u->due_ns", "1"],
    ["watch: ... of what is watched itself", "prev->flags & QS_WATCHED && ", ""],
    ["watch: what was covered enters after its cover", "\tuncover(link, u->next);\n", ""],
    ["watch: ... and in a walk", "\tuncover(link, link->units[unit].next);\n", ""],
    [
      "watch: a bucket comes up before what is behind it",
      "due_ns < ring->first << ring->shift",
      "due_ns < (ring->first + 1) << ring->shift",
    ],
    [
      "watch: a walk brings up what comes next",
      "while (QS_LOOP && order_bucket(link, next))",
      "while (0)",
    ],
    ["watch: the bound counts the ring", "near_ns < far_ns ? near_ns : far_ns", "near_ns"],
    ["watch: the bound counts the tree", "near_ns < far_ns ? near_ns : far_ns", "far_ns"],
    ["watch: bytes of all that waits", "\tlink->watch.bytes -= u->bytes;\n", ""],
    ["watch: drop priorities of what waits", "link->watch.drops |= 1u << u->drop;", ";"],
    ["watch: a node that is distant leaves the ring", "u->flags |= QS_DISTANT;", ";"],
    [
      "watch: lifted over its parent, a node keeps what is between",
      "RIGHT(parent) = middle;",
      "RIGHT(parent) = QS_NONE;",
    ],
  ]),
  ...rows("frame.c", [
    ["watch: bytes of what is added to a frame", "\t\tlink->watch.bytes += a->bytes;\n", ""],
  ]),
  ...rows("stream.c", [
    ["link: a freed stream is used again", "link->streams_free = stream;", ";"],
  ]),
  ...rows("pace.c", [
    ["link: the longest time that does not overflow", "UINT64_MAX / rate", "1"],
  ]),
  ...rows("pace.c", [
    [
      "pace: a packet waits for those before it",
      "now_ns)\n\t\treturn 0;",
      "now_ns && 0)\n\t\treturn 0;",
    ],
    ["pace: so much is made good", "lag_ns < QS_PACE_CATCH_UP_NS ?", "1 ?"],
    ["pace: ... and no more", "pace->free_ns = now_ns - QS_PACE_CATCH_UP_NS;", ";"],
    ["pace: a fraction is carried", "+ pace->remainder;", ";"],
    ["pace: an idle link saves nothing up", "\tpace->free_ns = now_ns;\n", ""],
    ["pace: nor one that may not send yet", "open_ns < now_ns ? open_ns : now_ns", "now_ns"],
    ["pace: what it overslept it keeps", "if (pace->free_ns < open_ns)", "if (1)"],
  ], "c/pace"),
];
