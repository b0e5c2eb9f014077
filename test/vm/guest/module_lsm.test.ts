// That the calls of kernel/linux ask the kernel's security module what the plain calls ask it. It is
// TOMOYO, which Debian's kernels have at work and whose policy is lines of text: it knows what a program
// may send to, bind and connect to, by addresses and users. Of all programs it here restricts one.
// gate: module, syscall

import assert from "node:assert/strict";
import { after } from "node:test";
import { attempt, isGuest, sh } from "./guest.ts";
import { arrived, FAST, FOLDER, gate, isBuiltIn, moduleTest, run, V4, V6 } from "./module.ts";

const EPERM = -1, EOPNOTSUPP = -95;
const BYTES = 100, SEGMENTS = 4; // guarded.c: of a message, and of its frame
const ALLOWED = 5004, FORBIDDEN = 5005; // ports: the way to both is the same
const POLICY = "/sys/kernel/security/tomoyo";
const PROGRAM = `${FOLDER}/guarded`;
const DOMAIN = `<kernel> ${PROGRAM}`;

/** Adds lines to a part of the policy. */
function write(part: string, ...lines: string[]): void {
  sh(`printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")} > ${POLICY}/${part}`);
}

/**
 * The policy is in force once somebody starts the program /sbin/init, and was written until then by
 * /sbin/tomoyo-init; after that, by who is named in it: this file's shell.
 */
function enforce(): void {
  attempt("mount -t securityfs security /sys/kernel/security");
  const silent = "grant_log=no reject_log=no";
  write("manager", sh("readlink -f /proc/$$/exe").trim());
  write("profile", "PROFILE_VERSION=20150505", `0-CONFIG={ mode=disabled ${silent} }`);
  write("profile", `1-CONFIG={ mode=disabled ${silent} }`);
  for (const what of ["bind", "send"]) {
    write("profile", `1-CONFIG::network::inet_dgram_${what}={ mode=enforcing ${silent} }`);
  }
  write("exception_policy", `initialize_domain ${PROGRAM} from any`);
  const rules = [V4, V6].flatMap((address) => [
    `network inet dgram send ${address} ${ALLOWED}`,
    `network inet dgram send ${address} ${FORBIDDEN} task.uid=0`,
  ]);
  rules.push(...["0.0.0.0", "::"].flatMap((any) => [
    `network inet dgram bind ${any} ${ALLOWED}`,
    `network inet dgram bind ${any} ${FORBIDDEN} task.uid=0`,
  ]));
  write("domain_policy", DOMAIN, "use_profile 1", ...rules);
  sh(`for name in tomoyo-init init; do
      [ -e /sbin/$name ] || ln -s /usr/bin/true /sbin/$name; done
    /sbin/init`);
  assert.match(sh(`cat ${POLICY}/stat`), /Policy/);
}

after(() => {
  if (isGuest) attempt(`printf '%s\\n' '${DOMAIN}' 'use_profile 0' > ${POLICY}/domain_policy`);
});

for (const [family, address] of [["IPv4", V4], ["IPv6", V6]]) {
  moduleTest(
    `what a security module forbids is refused by QSENDTO as by sendto, and not sent, ${family}`,
    () => {
      enforce();
      gate("root", "init", "vmmod0", "dwcs", FAST);
      const before = arrived();
      const [refused] = run("guarded", "alice", "vmmod0", address, FORBIDDEN);
      assert.deepEqual(refused, {
        sendto: EPERM,
        connect: EPERM,
        bind: EPERM,
        qsendto: EPERM,
        deadline: EPERM,
        frame: EPERM,
        peer: isBuiltIn ? EPERM : EOPNOTSUPP,
        local: isBuiltIn ? EPERM : EOPNOTSUPP,
        lost: 0,
        calls: 3,
        errors: 3,
        lastError: -EPERM,
        offered: 0,
      });
      assert.equal(arrived() - before, 0);
      // the same program may send there as another user, and the same user elsewhere
      for (const [user, port] of [["root", FORBIDDEN], ["alice", ALLOWED]] as const) {
        const before = arrived();
        const [taken] = run("guarded", user, "vmmod0", address, port);
        assert.deepEqual(taken, {
          sendto: BYTES,
          connect: 0,
          bind: 0,
          qsendto: BYTES,
          deadline: BYTES,
          frame: BYTES,
          peer: isBuiltIn ? BYTES : EOPNOTSUPP,
          local: isBuiltIn ? 0 : EOPNOTSUPP,
          lost: 0,
          calls: 3,
          errors: 0,
          lastError: 0,
          offered: 3,
        });
        assert.equal(arrived() - before, 3 + SEGMENTS + (isBuiltIn ? 1 : 0));
      }
    },
  );
}
