// Takes what TCP brings to port 5006, until its input ends, and says how many bytes that were.

import { createServer } from "node:net";
import process from "node:process";

let bytes = 0;
createServer((connection) => {
  connection.on("data", (data) => bytes += data.length);
  connection.on("error", () => {}); // its other end may be gone already
}).listen(5006, "::", () => console.log("ready"));
process.stdin.on("end", () => {
  console.log(bytes);
  process.exit();
});
process.stdin.resume();
