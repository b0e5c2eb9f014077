// One link for several processes below the stack: what each was promised it gets, whoever else sends,
// and the rest of the link is for those who were promised nothing.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { deviceTest, type Program, type Setting } from "./device.ts";
import { bulk, FRAME_BYTES, stream, type StreamOptions, wholeFrames } from "./traffic.ts";

const RATE = 125_000; // bytes per second: 1 Mbit/s, which an emulated machine can keep up with
const FRAMES = 30;
const STREAM = { ipg: 120, frames: FRAMES, deadline: 1000, oln: 1, old: 10 };
/** What of two streams keeps the link busy for 3 s, each having asked for 3/4 of it. */
const BACKLOG = { ipg: FRAME_BYTES / RATE / 0.75 * 1000, gap: 0, frames: 60, deadline: 60_000 };
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
function sent({ link }: Setting) {
  for (;;) {
    const all = link.info().sentBytes, streams = [...link.streams()];
    if (link.info().sentBytes === all) return { all, streams };
  }
}

/** What each of two streams had of a link that both want more of, and what all others had. */
async function overbook(setting: Setting, streams: Program[]) {
  for (const one of streams) one.write(JSON.stringify(BACKLOG));
  while ([...setting.link.streams()].filter((one) => one.queued > 0).length < 2) await pause(5);
  assert.ok(setting.link.info().utilisation > 1, "the link is not overbooked");
  const before = sent(setting);
  let after = before;
  for (; after.all < before.all + MEASURED_BYTES; after = sent(setting)) await pause(20);
  // both wanted more than they had until then
  const queued = after.streams.map((one) => one.queued);
  assert.ok(queued.length === 2 && queued.every((count) => count > 0), `${queued} are left`);
  const managed = after.streams.map(({ sentBytes, cookie }) => {
    return sentBytes - before.streams.find((one) => one.cookie === cookie)!.sentBytes;
  });
  const all = after.all - before.all;
  return { all, managed, rest: all - managed[0] - managed[1] };
}

deviceTest(
  "processes share a link by their contracts, and bulk TCP has the rest, but 1/16 if it is overbooked",
  { scheduler: "dwcs", rate: RATE },
  async (setting) => {
    const { program } = setting;
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
      assert.ok(frames < whole[i] / 2, `${frames} whole frames without a contract`);
    }

    const had = await overbook(setting, streams), part = had.rest / had.all;
    assert.ok(part > BEST_EFFORT / 2 && part < 2 * BEST_EFFORT, JSON.stringify(had));
    for (const one of had.managed) assert.ok(one > had.rest, JSON.stringify(had));
    for (const one of streams) {
      const { frames } = await one.next();
      assert.deepEqual(frames.sent, [0, 0, 0, BACKLOG.frames]);
    }
  },
);
