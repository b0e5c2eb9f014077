// The tests of sockets, those of every machine, on a device that has its scheduler below the stack:
// what programs see of a socket is the same wherever the scheduler stands.
// runtime of bpf: bun, as a device takes two seconds there to be initialised

import "../../attach.test.ts";
import "../../close.test.ts";
import "../../socket.test.ts";
import "../../writable.test.ts";
import { linksAreOf } from "../../links.ts";
import { attempt, isGuest } from "./guest.ts";

if (isGuest) {
  attempt("sysctl -qw net.core.wmem_max=8388608"); // as new kernels have it: room for long frames
  linksAreOf("lo");
}
