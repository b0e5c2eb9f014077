// Bulk transfer: TCP connections that send as fast as they are let, from "on" to "off".
//
//     bulk.mjs HOST CONNECTIONS
//
// It says "ready", and reads those words from its input, line by line.

import { connect } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";

const PORT = 5006; // of test/net/sink.mjs
const PIECE = Buffer.alloc(16 << 10);

const [host, connections] = process.argv.slice(2);
let sockets = [];

function open() {
  const socket = connect(PORT, host);
  const send = () => {
    while (!socket.destroyed && socket.write(PIECE)) { /* until its buffer is full */ }
  };
  socket.on("connect", send).on("drain", send);
  socket.on("error", () => {}); // the other end may be gone already
  return socket;
}

createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "on") sockets = Array.from({ length: Number(connections) }, open);
  for (const socket of line === "off" ? sockets : []) socket.resetAndDestroy(); // and what it has buffered
}).on("close", () => process.exit());
console.log("ready");
