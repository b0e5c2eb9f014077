import assert from "node:assert/strict";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import type { AttachTarget } from "../ffi/attach.ts";
import { qattach } from "../ffi/calls.ts";
import type { Address } from "../ffi/options.ts";
import { message } from "./counters.ts";
import { openLink } from "./links.ts";
import { type Peer, tcpPeer, udpPeer } from "./receiver.ts";

const RATE = "1gbit";

/** What the tests use of each runtime's own sockets. */
interface Native extends Disposable {
  target: AttachTarget;
  port: number;
}

interface Runtimes {
  Bun?: {
    udpSocket(options: object): Promise<{ port: number; close(): void; address: unknown }>;
    connect(options: object): Promise<{ localPort: number; end(): void }>;
  };
  Deno?: {
    listenDatagram?(options: object): { addr: Address; close(): void };
    connect(options: object): Promise<
      { localAddr: Address; remoteAddr: Address; close(): void }
    >;
  };
}

const { Bun, Deno } = globalThis as unknown as Runtimes;

async function datagramSocket(hostname: string, to?: Address): Promise<DatagramSocket> {
  const socket = createSocket(hostname.includes(":") ? "udp6" : "udp4");
  if (to) {
    socket.connect(to.port, to.hostname);
    await once(socket, "connect");
  } else {
    socket.bind(0, hostname);
    await once(socket, "listening");
  }
  return socket;
}

/** A bound datagram socket of the runtime itself, connected where the runtime can. */
async function nativeDatagrams(to?: Address): Promise<Native | undefined> {
  if (Bun) {
    const connection = to && { hostname: to.hostname, port: to.port };
    const socket = await Bun.udpSocket({ hostname: "127.0.0.1", port: 0, connect: connection });
    return { target: socket, port: socket.port, [Symbol.dispose]: () => socket.close() };
  }
  if (to || !Deno?.listenDatagram) return;
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  return { target: socket, port: socket.addr.port, [Symbol.dispose]: () => socket.close() };
}

async function nativeConnection(to: Address): Promise<Native> {
  if (Bun) {
    const socket = await Bun.connect({ ...to, socket: { data() {} } });
    return { target: socket as AttachTarget, port: socket.localPort, [Symbol.dispose]() {} };
  }
  const socket = await Deno!.connect({ ...to });
  return { target: socket, port: socket.localAddr.port, [Symbol.dispose]: () => socket.close() };
}

function bytesOf(peer: Peer): number {
  return peer.received.reduce((sum, data) => sum + data.byteLength, 0);
}

for (const hostname of ["127.0.0.1", "::1", "0.0.0.0"]) {
  test(`attach manages a socket of node:dgram bound to ${hostname}`, async () => {
    await using peer = await udpPeer(hostname === "::1" ? "::1" : "127.0.0.1");
    using link = openLink({ rate: RATE });
    const plain = await datagramSocket(hostname);
    const { port } = plain.address();
    using socket = qattach(link, plain, { ipg: 10 });
    assert.equal(socket.info().ipg, 10);
    socket.sendto(message(1), peer.address, { deadline: 5000 });
    await peer.until(({ received }) => received.length === 1);
    assert.deepEqual(peer.ports, [port]);
    plain.close();
  });
}

test("attach manages a connected socket of node:dgram, whose owner still receives", async () => {
  const echo = await datagramSocket("127.0.0.1");
  echo.on("message", (data, { port, address }) => echo.send(data, port, address));
  const to = { hostname: "127.0.0.1", port: echo.address().port };
  const plain = await datagramSocket("127.0.0.1", to);
  using link = openLink({ rate: RATE });
  using socket = link.attach(plain);
  const answer = once(plain, "message");
  socket.send(message(1));
  const [data] = await answer;
  assert.deepEqual(new Uint8Array(data), message(1));
  echo.close();
  plain.close();
});

test("attach keeps its own descriptor: the owner may close the socket", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: RATE });
  const plain = await datagramSocket("127.0.0.1");
  using socket = link.attach(plain);
  plain.close();
  await once(plain, "close");
  socket.sendto(message(1), peer.address);
  await peer.until(({ received }) => received.length === 1);
});

test("closing what was attached leaves the owner's socket open", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: RATE });
  const plain = await datagramSocket("127.0.0.1");
  link.attach(plain).close();
  plain.send(message(1), peer.address.port, peer.address.hostname);
  await peer.until(({ received }) => received.length === 1);
  plain.close();
});

test("attach manages a datagram socket of the runtime", {
  skip: !Bun && !Deno?.listenDatagram,
}, async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: RATE });
  using plain = (await nativeDatagrams())!;
  using socket = link.attach(plain.target);
  socket.sendto(message(1), peer.address);
  await peer.until(({ received }) => received.length === 1);
  assert.deepEqual(peer.ports, [plain.port]);
});

test("attach manages a connected datagram socket of the runtime", { skip: !Bun }, async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: RATE });
  using plain = (await nativeDatagrams(peer.address))!;
  using socket = link.attach(plain.target);
  socket.send(message(1));
  await peer.until(({ received }) => received.length === 1);
  assert.deepEqual(peer.ports, [plain.port]);
});

test("attach manages a TCP connection of node:net, at both ends", async () => {
  await using peer = await tcpPeer();
  using link = openLink({ rate: RATE });
  const plain: Socket = connect(peer.address.port, "127.0.0.1");
  await once(plain, "connect");
  await peer.until(() => peer.connections.length === 1);
  using socket = link.attach(plain);
  for (let number = 0; number < 50; number++) socket.send(message(number), { drop: "never" });
  await peer.until(() => bytesOf(peer) === 50_000);
  assert.deepEqual(
    new Uint8Array(Buffer.concat(peer.received)),
    new Uint8Array(Buffer.concat(Array.from({ length: 50 }, (_, number) => message(number)))),
  );
  using back = link.attach(peer.connections[0]);
  back.send(message(9));
  const [data] = await once(plain, "data");
  assert.deepEqual(new Uint8Array(data), message(9));
  plain.destroy();
});

test("attach manages a TCP connection of the runtime", async () => {
  await using peer = await tcpPeer();
  using link = openLink({ rate: RATE });
  using plain = await nativeConnection(peer.address);
  using socket = link.attach(plain.target);
  socket.send(message(1));
  await peer.until(() => bytesOf(peer) === 1000);
  assert.ok(peer.ports.includes(plain.port));
});

test("attach refuses what is no socket, with a sentence", async () => {
  using link = openLink({ rate: RATE });
  const idle = createSocket("udp4");
  const file = openSync(new URL(import.meta.url), "r");
  const cases: [unknown, string, RegExp][] = [
    [null, "TypeError", /target must be a socket or \{ fd \}, got null/],
    [7, "TypeError", /target must be a socket or \{ fd \}, got 7/],
    [{}, "TypeError", /must be a socket that is bound or connected, or \{ fd \}, got an object/],
    [idle, "TypeError", /must be a socket that is bound or connected/],
    [{ fd: -1 }, "RangeError", /fd must be an open descriptor, got -1/],
    [{ fd: 1.5 }, "RangeError", /fd must be an open descriptor, got 1.5/],
    [{ fd: "3" }, "RangeError", /fd must be an open descriptor, got "3"/],
    [{ fd: 999_999 }, "QError", /^Cannot attach a socket: descriptor 999999 is no udp socket/],
    [{ fd: file }, "QError", /^Cannot attach a socket: descriptor \d+ is no udp socket/],
    [
      { addr: { hostname: "127.0.0.1", port: 1 } },
      "QError",
      /^Cannot attach a socket: this process has no udp socket at 127.0.0.1 port 1/,
    ],
    [
      { addr: { hostname: "localhost", port: 1 } },
      "RangeError",
      /^Cannot attach a socket: hostname must be an IP address/,
    ],
  ];
  for (const [target, name, words] of cases) {
    assert.throws(() => link.attach(target as AttachTarget), (error: Error) => {
      assert.equal(error.name, name, String(error));
      assert.match(error.message, words);
      return true;
    });
  }
  assert.throws(
    () => link.attach({ fd: 0 }, { ipg: -1 }),
    /^RangeError: Cannot attach a socket: ip/,
  );
  assert.equal(link.info().streams, 0);
  closeSync(file);
  idle.close();
  const plain = await datagramSocket("127.0.0.1");
  link.close();
  assert.throws(() => link.attach(plain), {
    name: "QError",
    message: "Cannot attach a socket: the link is closed (EBADF)",
  });
  plain.close();
});
