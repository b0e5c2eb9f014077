// Which packets of an isolated device go to the managed class, and what marking costs a socket.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { qattach, restoreDevice } from "../../mod.ts";
import { AF_INET, AF_INET6, FAR6, Socket } from "./libc.ts";
import { cable, DEVICE, FAR, sent, sh } from "./network.ts";
import { initialise } from "./system.ts";

const CODE_POINT = 0x2b << 2;

test("of ICMPv6 with the hop limit 255 only what finds the neighbours is managed", () => {
  // The kernel itself looks for no router, and has nothing to look for or answer.
  for (const [name, value] of [["accept_ra", "0"], ["addr_gen_mode", "1"]]) {
    writeFileSync(`/proc/sys/net/ipv6/conf/default/${name}`, value);
  }
  cable();
  const mac = sh(`ip -br link show ${DEVICE}`).split(/\s+/)[2];
  sh(`ip -n far neigh replace fd77::1 lladdr ${mac} dev far nud permanent`);
  initialise().close();
  using socket = Socket.icmp6();
  socket.set("IPV6_UNICAST_HOPS", 255);
  const managed: number[] = [];
  for (let type = 1; type < 256; type++) {
    const before = sent("5153:10");
    socket.sendto6(Uint8Array.of(type, 0, 0, 0, ...new Uint8Array(20)), FAR6);
    if (sent("5153:10") > before) managed.push(type);
  }
  assert.deepEqual(managed, [133, 134, 135, 136, 137]); // RFC 4861, section 4
  socket.set("IPV6_UNICAST_HOPS", 254);
  const before = sent("5153:10");
  socket.sendto6(Uint8Array.of(135, 0, 0, 0, ...new Uint8Array(20)), FAR6);
  assert.equal(sent("5153:10"), before, "from beyond a router it would be no neighbour's");
  restoreDevice(DEVICE);
});

test("a neighbour is looked for in the managed class", () => {
  cable();
  initialise().close();
  sh(
    `ip neigh flush dev ${DEVICE} nud permanent && ip neigh del ${FAR.ipv6} dev ${DEVICE} || true`,
  );
  const before = sent("5153:10");
  using socket = Socket.icmp6();
  socket.sendto6(Uint8Array.of(128, 0, 0, 0, 0, 0, 0, 0), FAR6);
  assert.ok(sent("5153:10") > before);
  restoreDevice(DEVICE);
});

for (const [name, family] of [["IPv4", AF_INET], ["IPv6", AF_INET6]] as const) {
  const other = family === AF_INET6 ? ["IPV6_TCLASS", "IP_TOS"] as const : ["IP_TOS"] as const;

  test(`marking an ${name} socket keeps its ECN bits and priority, and gives back its code point`, () => {
    cable();
    using link = initialise();
    using plain = new Socket(family);
    // As of two programs: each option has a code point and ECN bits of its own.
    other.forEach((option, i) => plain.set(option, (0x0a + i) << 2 | i + 1));
    plain.set("SO_PRIORITY", 5);
    const socket = qattach(link, { fd: plain.fd });
    other.forEach((option, i) => assert.equal(plain.get(option), CODE_POINT | i + 1, option));
    assert.equal(plain.get("SO_PRIORITY"), 5, "while it is attached");
    other.forEach((option) => plain.set(option, CODE_POINT | 3)); // the program's ECN bits, meanwhile
    plain.set("SO_PRIORITY", 4);
    socket.close();
    other.forEach((option, i) => assert.equal(plain.get(option), (0x0a + i) << 2 | 3, option));
    assert.equal(plain.get("SO_PRIORITY"), 4, "afterwards");
    restoreDevice(DEVICE);
  });

  test(`a code point that a program sets on an attached ${name} socket is left`, () => {
    cable();
    using link = initialise();
    using plain = new Socket(family);
    const socket = qattach(link, { fd: plain.fd });
    plain.set(other[0], 0x08 << 2);
    socket.close();
    other.forEach((option, i) => assert.equal(plain.get(option), i ? 0 : 0x08 << 2, option));
    restoreDevice(DEVICE);
  });
}
