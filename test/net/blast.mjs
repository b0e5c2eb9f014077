// Sends datagrams to port 5005 of an address as fast as they are taken, until its input ends.

import { createSocket } from "node:dgram";
import process from "node:process";

const SOCKETS = 8; // each may fill its own buffer
const OUTSTANDING = 64;

const data = new Uint8Array(1400);
for (let i = 0; i < SOCKETS; i++) {
  const socket = createSocket("udp4");
  socket.on("error", () => {}); // the receiver may be gone already
  socket.connect(5005, process.argv[2], () => {
    const send = () => socket.send(data, send);
    for (let i = 0; i < OUTSTANDING; i++) send();
  });
}
console.log("ready");
process.stdin.on("end", () => process.exit());
process.stdin.resume();
