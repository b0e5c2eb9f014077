// What DKMS is told of the kernel modules (kernel/linux/dkms.conf), read as it reads it: by bash. That it
// builds them so is seen where there are a kernel's headers: test/vm/modules.mjs.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const kernel = join(root, "kernel"), linux = join(kernel, "linux");
const missing = ["bash", "make"].filter((tool) =>
  spawnSync(tool, ["--version"], { stdio: "ignore" }).error
);
const skip = missing.length > 0 && `no ${missing.join(", ")} here`;

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, `${command}: ${stderr}`);
  return stdout;
}

/** A variable of dkms.conf, each of its values. */
function told(name: string): string[] {
  const script = `kernel_source_dir=/headers; . "$1"; printf '%s\\n' "\${${name}[@]}"`;
  return run("bash", "-c", script, "bash", join(linux, "dkms.conf")).trim().split("\n");
}

/** The schedulers that there are: a file of each names its policy. */
const schedulers = readdirSync(linux).filter((name) => /\.c$/.test(name))
  .filter((name) => /^#define QS_POLICY_FILE\b/m.test(readFileSync(join(linux, name), "utf8")))
  .map((name) => name.replace(/\.c$/, "")).sort();

test(
  "dkms.conf names the manager and each scheduler's module, and where it is built",
  { skip },
  () => {
    assert.ok(schedulers.length >= 7, `${schedulers}`);
    const names = told("BUILT_MODULE_NAME");
    assert.deepEqual(names.toSorted(), [
      ...schedulers.map((name) => `qsocket-${name}`),
      "qsockets",
    ]);
    assert.deepEqual(told("BUILT_MODULE_LOCATION"), names.map(() => "linux"));
    assert.deepEqual(told("DEST_MODULE_LOCATION"), names.map(() => "/updates/dkms"));
    assert.deepEqual(told("MAKE"), ["make -C linux KDIR=/headers"]);
  },
);

test("each scheduler is in Kbuild, as a module and built in, and in Kconfig", () => {
  const [kbuild, kconfig] = ["Kbuild", "Kconfig"].map((name) =>
    readFileSync(join(linux, name), "utf8")
  );
  assert.deepEqual(kbuild.match(/^schedulers := (.*)$/m)![1].split(" ").sort(), schedulers);
  for (const name of schedulers) {
    const option = `QSOCKETS_${name.toUpperCase().replaceAll("-", "_")}`;
    assert.ok(kbuild.includes(`obj-$(CONFIG_${option}) += qsocket-${name}.o\n`), name);
    assert.match(kconfig, new RegExp(`^config ${option}$`, "m"));
  }
});

test(
  "make dkms lays out all that the modules are built of, by the package's version",
  { skip },
  () => {
    const [name, version] = [told("PACKAGE_NAME")[0], told("PACKAGE_VERSION")[0]];
    assert.equal(version, JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version);
    const folder = mkdtempSync(join(tmpdir(), "qsockets-dkms-"));
    try {
      run("make", "-s", "-C", linux, "dkms", `DESTDIR=${folder}`);
      const to = join(folder, "usr/src", `${name}-${version}`);
      const wanted = ["qsocket.h", "dkms.conf"];
      for (const part of ["sched", "linux", "linux/include"]) {
        const files = readdirSync(join(kernel, part)).filter((file) =>
          /\.[ch]$|^Kbuild$/.test(file)
        );
        assert.ok(files.length > 0, part);
        wanted.push(...files.map((file) => `${part}/${file}`));
      }
      const laid = new Set(readdirSync(to, { recursive: true }).map(String));
      assert.deepEqual(wanted.filter((file) => !laid.has(file)), []);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
