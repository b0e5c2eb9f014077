// Counts datagrams until its input ends: those for port 5004 by whether they came in time (they
// begin with the milliseconds of CLOCK_MONOTONIC until when they must), those for 5005 as such and by bytes.

import { createSocket } from "node:dgram";
import process from "node:process";

const counts = { inTime: 0, late: 0, blasts: 0, blastBytes: 0 };

function listen(port, count) {
  const socket = createSocket({ type: "udp6", recvBufferSize: 1 << 20 });
  socket.on("message", count);
  return new Promise((resolve) => socket.bind(port, "::", () => resolve(socket)));
}

await listen(5004, (data) => {
  const now = Number(process.hrtime.bigint()) / 1e6;
  counts[now <= data.readDoubleLE(0) ? "inTime" : "late"]++;
});
await listen(5005, (data) => {
  counts.blasts++;
  counts.blastBytes += data.length;
});
console.log("ready");
process.stdin.on("end", () => {
  console.log(JSON.stringify(counts));
  process.exit();
});
process.stdin.resume();
