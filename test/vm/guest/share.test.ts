// One link for several processes below the stack: what each was promised it gets, whoever else sends,
// and the rest of the link is for those who were promised nothing.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Link, QSocket } from "../../../mod.ts";
import { deviceTest, PORT, type Setting, V4 } from "./device.ts";
import { slowness } from "./guest.ts";
import type { Program } from "./program.ts";
import { bulk, stream, type StreamOptions, wholeFrames } from "./traffic.ts";

const RATE = 125_000; // bytes per second: 1 Mbit/s, which an emulated machine can keep up with
const FRAMES = 30;
const STREAM = { ipg: 120, frames: FRAMES, deadline: 1000, oln: 1, old: 10 };
const MESSAGE_BYTES = 1042; // of 1000, on the wire
/** Of two streams: more than two seconds of the link, each having asked for 3/4 of it. */
const BACKLOG = { messages: 150, ipg: MESSAGE_BYTES / RATE / 0.75 * 1000 };
const MEASURED_BYTES = 160_000;
const BEST_EFFORT = 1 / 16; // qsocket.h's

/** What two streams and TCP had of the link beside a blast. */
async function contend(
  { link, came }: Setting,
  streams: Program[],
  options: Partial<StreamOptions>,
) {
  await came();
  const before = link.info().sentBytes;
  for (const one of streams) one.write(JSON.stringify(options));
  const infos = await Promise.all(streams.map((one) => one.next()));
  const sentBytes = link.info().sentBytes - before;
  const { order, tcp } = await came();
  return { infos, whole: [wholeFrames(order[1]), wholeFrames(order[2])], tcp, sentBytes };
}

/** What the link and each stream have sent at one moment. */
function sent(link: Link, sockets: QSocket[]) {
  for (;;) {
    const all = link.info().sentBytes, infos = sockets.map((one) => one.info());
    if (link.info().sentBytes === all) return { all, infos };
  }
}

/** What each of two streams had of a link that both want more of, and what all others had. */
async function overbook(link: Link) {
  const { messages, ipg } = BACKLOG, to = { hostname: V4, port: PORT };
  const sockets = [1, 2].map(() => link.open({ to, ipg, oln: 1, old: 4, bytes: MESSAGE_BYTES }));
  try {
    for (let i = 0; i < messages; i++) for (const one of sockets) one.send(new Uint8Array(1000));
    assert.ok(link.info().utilisation > 1, "the link is not overbooked");
    const before = sent(link, sockets);
    let after = before;
    for (; after.all < before.all + MEASURED_BYTES; after = sent(link, sockets)) await pause(5);
    for (const { queued } of after.infos) assert.ok(queued > 0, "the backlog was too short");
    const managed = after.infos.map(({ sentBytes }, i) => sentBytes - before.infos[i].sentBytes);
    const all = after.all - before.all;
    return { all, managed, rest: all - managed[0] - managed[1] };
  } finally {
    for (const one of sockets) one.close();
  }
}

deviceTest(
  "processes share a link by their contracts, and bulk TCP has the rest, but 1/16 if it is overbooked",
  { scheduler: "dwcs", rate: RATE },
  async (setting) => {
    const { link, program } = setting;
    const streams = [1, 2].map((number) => program("alice", stream({ ...STREAM, number })));
    const rest = program("bob", bulk(2 * RATE, 16, 4));
    for (const one of [...streams, rest]) assert.equal(await one.next(), "ready");
    rest.write("go");

    const { infos, whole, tcp, sentBytes } = await contend(setting, streams, {});
    for (const [i, info] of infos.entries()) {
      assert.equal(info.violations, 0, JSON.stringify(info));
      assert.equal(info.late, 0);
      assert.equal(info.frames.partial, 0);
      assert.equal(info.frames.sent[3], whole[i], "the receiver has another count");
      assert.ok(whole[i] >= FRAMES * 0.9, `${whole[i]} of ${FRAMES} frames`);
    }
    assert.ok(tcp > sentBytes / 32, `TCP had ${tcp} of ${sentBytes} bytes`);

    // The same programs, of which the link knows nothing.
    const plain = await contend(setting, streams, { isPlain: true });
    for (const [i, frames] of plain.whole.entries()) {
      // a kernel that looks for its own faults is too slow to fill the link
      if (slowness === 1) {
        assert.ok(frames < whole[i] / 2, `${frames} whole frames without a contract`);
      }
    }

    const had = await overbook(link), part = had.rest / had.all;
    assert.ok(part > BEST_EFFORT / 2 && part < 2 * BEST_EFFORT, JSON.stringify(had));
    for (const one of had.managed) assert.ok(one > had.rest, JSON.stringify(had));
  },
);
