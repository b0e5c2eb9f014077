/** The programs under examples/, as their users run them: on loopback, and against other players. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { readFrames, readSdp } from "../mod.ts";
import {
  bound,
  CLIP,
  type Ended,
  excerpt,
  freePorts,
  lacks,
  launch,
  play,
  scratch,
  start,
  written,
} from "./programs.ts";

const directory = scratch();
const short = join(directory, "short.m2t");
writeFileSync(short, excerpt(600_000)); // 64 pictures
const noFfmpeg = lacks("ffmpeg");
const noGstreamer = lacks("gst-launch-1.0");
for (const why of [noFfmpeg, noGstreamer]) {
  if (why) console.log(`${why}: what needs it is skipped`);
}

test("the programs end with 2 and say what is wrong with their arguments", async () => {
  const cases: [string, string[], RegExp][] = [
    ["video_server.ts", [], /FILE is missing/],
    ["video_server.ts", [CLIP], /--to HOST:PORT is missing/],
    ["video_server.ts", [CLIP, "--to", "127.0.0.1:0"], /--to must be HOST:PORT.*got "127.0.0.1:0"/],
    ["video_server.ts", [CLIP, "--to", "127.0.0.1:9", "--rate", "fast"], /rate must be.*"fast"/],
    ["video_server.ts", [CLIP, "--to", "127.0.0.1:9", "--oln", "2"], /oln must be at most old/],
    ["video_client.ts", [], /give FILE.sdp, or --listen HOST:PORT/],
    ["video_client.ts", ["--listen", "127.0.0.1:9", "--format", "avi"], /--format must be mpv,/],
    ["sensor_publisher.ts", ["--load", "lots"], /--load must be a number.*got "lots"/],
    ["sensor_publisher.ts", ["--margin", "100"], /--margin must be below half of the shortest/],
    ["sensor_subscriber.ts", ["--nonsense"], /Unknown option.*--nonsense/],
    ["qsock.ts", [], /say what to do: init, info, top, off or list/],
    ["qsock.ts", ["begin"], /there is no "begin"/],
    ["qsock.ts", ["init", "no0"], /--rate RATE is missing/],
    ["qsock.ts", ["init", "--rate", "1mbit"], /init needs a DEV/],
    ["qsock.ts", ["init", "no0", "--rate", "fast"], /Cannot initialise no0: rate must be/],
    ["qsock.ts", ["init", "no0", "--rate", "1mbit", "--mode", "99"], /--mode must be octal/],
    ["qsock.ts", ["init", "no0", "--rate", "1mbit", "--host", "x"], /host must be/],
    ["qsock.ts", ["top", "no0", "--interval", "0"], /--interval must be a number/],
    ["qsock.ts", ["off", "a/b"], /Cannot restore a\/b: /],
    ["qsock.ts", ["info", "no0", "--rate", "1"], /Unknown option.*--rate/],
  ];
  await Promise.all(cases.map(async ([file, args, message]) => {
    const { code, stdout, stderr } = await play(file, args);
    assert.match(stderr, message);
    assert.match(
      stderr,
      new RegExp(`^${file}: .*\nTry ".*examples/${file}( \\w+)? --help".\n$`, "s"),
    );
    assert.deepEqual([code, stdout], [2, ""], `${file} ${args}: ${stderr}`);
  }));
});

test("the programs end with 1 and say what they cannot play, read or receive", async () => {
  const port = await freePorts();
  const text = join(directory, "text.ts");
  writeFileSync(text, "This is no video.\n");
  const to = ["--to", `127.0.0.1:${port}`];
  const cases: [string, string[], RegExp][] = [
    ["video_server.ts", [text, ...to], /Cannot play text.ts: .* it is text/],
    ["video_server.ts", ["absent.ts", ...to], /Cannot play absent.ts: there is no such file/],
    [
      "video_server.ts",
      [CLIP, ...to, "--device", "no0"],
      /Cannot open link no0: .*no such network/,
    ],
    ["qsock.ts", ["info", "no0"], /Cannot open link no0: .*no such network/],
    ["qsock.ts", ["top", "lo", "--once"], /lo is not initialised: /],
    ["qsock.ts", ["info", "lo", "--json"], /lo is not initialised: /],
    ["video_client.ts", ["absent.sdp"], /Cannot read absent.sdp: there is no such file/],
    ["video_client.ts", [text], /Cannot read .*text.ts: it has no video/],
    [
      "video_client.ts",
      ["--listen", "203.0.113.1:5004"],
      /Cannot receive at 203.0.113.1 port 5004/,
    ],
  ];
  await Promise.all(cases.map(async ([file, args, message]) => {
    const { code, stdout, stderr } = await play(file, args);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [1, ""], `${file} ${args}: ${stderr}`);
  }));
});

test("the programs say how to make the C library, and end with 1", async () => {
  const to = ["--to", `127.0.0.1:${await freePorts()}`];
  const cases: [string, string[]][] = [
    ["video_server.ts", [CLIP, ...to]],
    ["sensor_publisher.ts", to],
    ["sensor_subscriber.ts", ["--listen", "127.0.0.1:0"]],
  ];
  await Promise.all(cases.map(async ([file, args]) => {
    const { code, stderr } = await play(file, args, { QSOCKETS_LIBRARY: "/nowhere.so" });
    assert.match(stderr, new RegExp(`^${file}: Cannot load the C library .*npm run build`, "m"));
    assert.doesNotMatch(stderr, /\n +at /);
    assert.equal(code, 1);
  }));
});

test("the programs show their options with --help", async () => {
  const players = ["video_server", "video_client", "sensor_publisher", "sensor_subscriber"];
  const files = [...players, "qsock"];
  await Promise.all(files.map(async (file) => {
    const { code, stdout, stderr } = await play(`${file}.ts`, ["--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, new RegExp(`examples/${file}.ts .*\\[options\\]\n`));
    for (const line of stdout.split("\n")) assert.ok(line.length <= 100, `too long: ${line}`);
  }));
});

test("qsock shows the options of each of its commands", async () => {
  await Promise.all(["init", "info", "top", "off", "list"].map(async (command) => {
    const { code, stdout, stderr } = await play("qsock.ts", [command, "--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, new RegExp(`examples/qsock.ts ${command}.*\\[options\\]\n`));
    for (const line of stdout.split("\n")) assert.ok(line.length <= 100, `too long: ${line}`);
  }));
});

test("qsock lists no device where none is initialised", async () => {
  const { code, stdout } = await play("qsock.ts", ["list", "--json"]);
  assert.equal(code, 0);
  assert.ok(Array.isArray(JSON.parse(stdout)));
});

test("video_client receives every frame of video_server, byte for byte", async () => {
  const port = await freePorts();
  const sdp = join(directory, "trip.sdp");
  const out = join(directory, "trip.m2v");
  const client = start("video_client.ts", [
    "--listen",
    `127.0.0.1:${port}`,
    "--out",
    out,
    "--json",
  ]);
  await client.says(/listening on/);
  // As much as a receiver with the system's usual buffer can take while it is kept waiting.
  const rate = ["--rate", "4mbit", "--speed", "4", "--latency", "10000"];
  const server = await play("video_server.ts", [
    short,
    ...["--to", `127.0.0.1:${port}`, "--sdp", sdp, "--json", ...rate],
  ]);
  assert.equal(server.code, 0, server.stderr);
  const sent = JSON.parse(server.stdout);
  const { code, stdout, stderr } = await client.ended;
  assert.equal(code, 0, stderr);
  const received = JSON.parse(stdout);

  const types = await frameTypes(short);
  const pieces: Uint8Array[] = [];
  for await (const { data } of readFrames(short)) pieces.push(data);
  assert.deepEqual(received.frames, types);
  assert.deepEqual(
    sent.levels.map(({ types, sent }: { types: string; sent: number }) => [types, sent]),
    ["I", "P", "B"].map((type) => [type, types[type].whole]),
  );
  const { lost, gaps, reordered, duplicates, ignored } = received;
  assert.deepEqual([lost, gaps, reordered, duplicates, ignored], [0, 0, 0, 0, 0]);
  assert.ok(received.jitter > 0 && received.jitter < 500, `jitter ${received.jitter}`);
  assert.equal(received.packets, sent.info.sent);
  assert.equal(received.sender.packets, sent.info.sent);
  const headers = 20 * sent.info.sent; // RTP with frame marking
  assert.equal(received.sender.octets, received.bytes - headers);
  assert.deepEqual(readFileSync(out), Buffer.concat(pieces));
  assert.equal(readSdp(readFileSync(sdp, "utf8")).port, port);
});

test("video_client counts the frames within a transport stream", async () => {
  const port = await freePorts();
  const client = start("video_client.ts", ["--listen", `127.0.0.1:${port}`, "--json"]);
  await client.says(/listening on/);
  const { code, stderr } = await play("video_server.ts", [
    short,
    ...["--to", `127.0.0.1:${port}`, "--sdp", "-", "--format", "mp2t"],
    ...["--rate", "4mbit", "--speed", "4", "--latency", "10000"],
  ]);
  assert.equal(code, 0, stderr);
  const { frames, lost } = JSON.parse((await client.ended).stdout);
  assert.equal(lost, 0);
  assert.deepEqual(frames, await frameTypes(short));
});

test("video_server drops whole frames when the link is too slow", async () => {
  const port = await freePorts();
  const client = start("video_client.ts", ["--listen", `127.0.0.1:${port}`, "--json"]);
  await client.says(/listening on/);
  const { stdout, stderr, code } = await play("video_server.ts", [
    short,
    ...["--to", `127.0.0.1:${port}`, "--sdp", join(directory, "slow.sdp"), "--json"],
    ...["--rate", "2mbit", "--latency", "300"],
  ]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /\d s: \d+ frames? sent, .* Mbit\/s, dropped .*\d+ B /);
  const { info } = JSON.parse(stdout);
  const received = JSON.parse((await client.ended).stdout);
  const whole = (Object.values(received.frames) as { whole: number }[])
    .reduce((sum, counts) => sum + counts.whole, 0);
  const sent = info.frames.sent.reduce((sum: number, count: number) => sum + count, 0);
  const offered = info.frames.offered.reduce((sum: number, count: number) => sum + count, 0);
  assert.ok(sent < offered && sent > offered / 3, `sent ${sent} of ${offered}`);
  assert.equal(info.late, 0);
  assert.equal(whole, sent);
});

test("Ctrl-C ends video_server and video_client with their summaries", async () => {
  const port = await freePorts();
  const client = start("video_client.ts", ["--listen", `127.0.0.1:${port}`]);
  await client.says(/listening on/);
  const sdp = join(directory, "loop.sdp");
  const server = start("video_server.ts", [
    short,
    ...["--to", `127.0.0.1:${port}`, "--loop", "--sdp", sdp, "--rate", "1mbit"],
    ...["--scheduler", "fifo"], // with a queue that would take long to empty
  ]);
  await client.says(/frames whole/);
  server.interrupt();
  const served = await server.ended;
  assert.equal(served.code, 0, served.stderr);
  for (const level of ["starts a group (I)", "leaned on (P)", "leaf (B)"]) {
    assert.ok(served.stdout.includes(`\n${level} `), served.stdout);
  }
  assert.match(served.stdout, /^frames +read +sent.*\n(.*\n)*all .*\n\n\d+ packets, /);
  const seen = await client.ended; // by the goodbye
  assert.equal(seen.code, 0, seen.stderr);
  assert.match(seen.stdout, /^frames +whole +incomplete\n(.*\n)*all /);

  const lone = start("video_client.ts", ["--listen", `127.0.0.1:${port}`]);
  await lone.says(/listening on/);
  lone.interrupt();
  const { code, stdout } = await lone.ended;
  assert.deepEqual([code, stdout], [0, "nothing came\n"]);
});

/** Serves a file to a player that listens already; `player` is its command, given the SDP. */
async function serve(
  path: string,
  player: (sdp: string) => [command: string, args: string[]],
  format: string[] = [],
): Promise<Ended> {
  const port = await freePorts();
  const sdp = `${path}.${port}.sdp`;
  const to = ["--to", `127.0.0.1:${port}`, "--latency", "5000", ...format];
  // A first server only describes the session, so that the player can be there before the video.
  const first = start("video_server.ts", [path, ...to, "--sdp", sdp, "--delay", "60"]);
  await written(sdp, first);
  first.interrupt();
  assert.equal((await first.ended).code, 0);
  const playing = launch(...player(sdp));
  await bound(port, playing);
  const server = await play("video_server.ts", [path, ...to, "--sdp", "-", "--stats", "0"]);
  assert.equal(server.code, 0, server.stderr);
  assert.doesNotMatch(server.stderr, /dropped/);
  return await playing.ended;
}

/** H.264 with B pictures in an MP4 file; null when ffmpeg cannot make it. */
function h264Clip(): string | null {
  const path = join(directory, "short.mp4");
  const { status } = spawnSync("ffmpeg", [
    ...["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2.5"],
    ...["-c:v", "libx264", "-g", "25", "-bf", "2", "-b:v", "500k", "-threads", "1", path],
  ]);
  return status === 0 ? path : null;
}

/** The frames of a file by type, as video_client counts them when all have come. */
async function frameTypes(path: string) {
  const types: Record<string, { whole: number; incomplete: number }> = {};
  for await (const { type } of readFrames(path)) {
    (types[type] ??= { whole: 0, incomplete: 0 }).whole += 1;
  }
  return types;
}

async function frameCount(path: string): Promise<number> {
  let count = 0;
  for await (const _ of readFrames(path)) count += 1;
  return count;
}

test("ffmpeg decodes what video_server sends, without an error", { skip: noFfmpeg }, async () => {
  const ffmpeg = (sdp: string): [string, string[]] => ["ffmpeg", [
    ...["-nostdin", "-hide_banner", "-nostats", "-v", "error", "-progress", "pipe:1"],
    ...["-protocol_whitelist", "file,udp,rtp", "-i", sdp, "-f", "null", "-"],
  ]];
  const h264 = h264Clip();
  if (h264 === null) console.log("ffmpeg cannot encode H.264: only MPEG-2 is decoded");
  const cases: [path: string, format: string[]][] = [[short, []], [short, ["--format", "mp2t"]]];
  if (h264 !== null) cases.push([h264, []]);
  await Promise.all(cases.map(async ([path, format]) => {
    const { code, stdout, stderr } = await serve(path, ffmpeg, format);
    assert.deepEqual([code, stderr], [0, ""], `${path} ${format}`); // it ends by the goodbye
    const frames = stdout.match(/frame=\d+/g)?.at(-1);
    assert.equal(frames, `frame=${await frameCount(path)}`, `${path} ${format}`);
  }));
});

test("GStreamer decodes what video_server sends, without an error", {
  skip: noGstreamer,
}, async () => {
  const h264 = noFfmpeg ? null : h264Clip();
  const files = h264 === null ? [short] : [short, h264];
  await Promise.all(files.map(async (path) => {
    // It does not end by the goodbye, but after so many pictures; decoders hold some back.
    const pictures = await frameCount(path) - 10;
    const { code, stdout, stderr } = await serve(path, (sdp) => ["gst-launch-1.0", [
      ...["-q", "filesrc", `location=${sdp}`, "!", "sdpdemux", "!", "decodebin"],
      ...["!", "fakesink", `num-buffers=${pictures}`, "sync=false"],
    ]]);
    assert.deepEqual([code, stdout + stderr], [0, ""], path);
  }));
});

interface Outcome {
  scheduler: string;
  inTime: number;
  late: number;
  missing: number;
}

test("sensor_publisher has fewest samples late or lost by edf, and none late", async () => {
  const { code, stdout, stderr } = await play("sensor_publisher.ts", [
    ...["--compare", "--seconds", "2", "--json"],
  ]);
  assert.equal(code, 0, stderr);
  const outcomes: Outcome[] = JSON.parse(stdout);
  assert.deepEqual(outcomes.map(({ scheduler }) => scheduler), ["edf", "edf-lossless", "plain"]);
  const samples = outcomes.map(({ inTime, late, missing }) => inTime + late + missing);
  assert.deepEqual(samples, Array(3).fill(samples[0]), "all publish the same samples");
  const [edf, lossless, plain] = outcomes;
  // A subscriber that is kept waiting for its processor counts a sample late that was not.
  assert.ok(edf.late <= samples[0] / 50, `${edf.late} of ${samples[0]} late by edf`);
  assert.equal(lossless.missing, 0);
  for (const { scheduler, late, missing } of [lossless, plain]) {
    assert.ok(
      edf.late + edf.missing < (late + missing) / 1.5,
      `edf is no better than ${scheduler}`,
    );
  }
});

test("sensor_subscriber counts what sensor_publisher sends, over IPv6 and by plain datagrams", async () => {
  for (
    const [listen, args] of [
      ["[::1]:0", ["--scheduler", "edf-lossless", "--load", "0.5"]],
      ["127.0.0.1:0", ["--scheduler", "none", "--load", "2"]],
    ] as const
  ) {
    const subscriber = start("sensor_subscriber.ts", ["--listen", listen, "--json"]);
    const to = (await subscriber.says(/listening on \S+/)).split(" ").at(-1)!;
    const publisher = await play("sensor_publisher.ts", [
      ...["--to", to, "--seconds", "0.7", "--sensors", "3", "--json", ...args],
    ]);
    assert.equal(publisher.code, 0, publisher.stderr);
    const { samples } = JSON.parse(publisher.stdout);
    const { code, stdout, stderr } = await subscriber.ended;
    assert.equal(code, 0, stderr);
    const { inTime, late, missing, duplicates } = JSON.parse(stdout);
    assert.ok(samples > 20, `${samples} samples`);
    assert.deepEqual([inTime + late, missing, duplicates], [samples, 0, 0]);
  }
});

test("Ctrl-C ends sensor_publisher and its subscriber with their summaries", async () => {
  const subscriber = start("sensor_subscriber.ts", ["--listen", "127.0.0.1:0"]);
  const to = (await subscriber.says(/listening on \S+/)).split(" ").at(-1)!;
  const publisher = start("sensor_publisher.ts", ["--to", to, "--seconds", "60"]);
  await publisher.says(/1 s: \d+ samples/);
  publisher.interrupt();
  const published = await publisher.ended;
  assert.equal(published.code, 0, published.stderr);
  assert.match(published.stdout, /^\d+ samples in \d\.\d s by edf on a link of 2 Mbit\/s/);
  const { code, stdout } = await subscriber.ended; // by the publisher's ends
  assert.equal(code, 0);
  assert.match(stdout, /\nall +\d+ +\d+ +0 +\d+ /);
});
