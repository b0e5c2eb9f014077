// The tests of sockets, those of every machine, on a device that has its scheduler below the stack:
// what programs see of a socket is the same wherever the scheduler stands.
// runtime of bpf: bun, as a device takes two seconds there to be initialised

import "../../attach.test.ts";
import "../../close.test.ts";
import "../../socket.test.ts";
import "../../writable.test.ts";
import { linksAreOf } from "../../links.ts";
import { isGuest } from "./guest.ts";

if (isGuest) linksAreOf("lo");
