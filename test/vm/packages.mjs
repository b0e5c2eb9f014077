// Debian's packages for the guest, taken by apt from a suite of its own choice without touching the
// machine's: apt's lists, cache and state lie in a folder given, its sources in a file there, and the
// installed packages that it knows are none, so that it names all that the guest needs.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const APT_MS_MAX = 5 * 60_000;
export const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The suite of the guest's programs, and of its kernel unless that says another. */
const SUITE = process.env.QSOCKETS_VM_SUITE || "sid";

/**
 * Debian's kernels: what follows the version in their packages' names, those packages, and the least
 * version. Debian builds none with lockdep or KASAN.
 */
const SPLIT = ["linux-binary-", "linux-modules-", "linux-base-"], WHOLE = ["linux-image-"];
const BPF_MIN = "7"; // older ones of Debian lack CONFIG_NET_SCH_BPF
export const KERNELS = {
  cloud: { suffix: "-cloud-amd64", packages: SPLIT, least: BPF_MIN },
  generic: { suffix: "-amd64", packages: SPLIT, least: BPF_MIN },
  rt: { suffix: "-rt-amd64", packages: SPLIT, least: BPF_MIN },
  trixie: { suffix: "-cloud-amd64", packages: WHOLE, least: "6.12", suite: "trixie" },
  bookworm: { suffix: "-cloud-amd64", packages: WHOLE, least: "6.1", suite: "bookworm" },
};

/** A Debian suite, read anew from its mirror; `folder` is for apt's own files. */
export class Suite {
  #folder;
  #options;
  #name;

  constructor(folder, suite = SUITE) {
    const mirror = process.env.QSOCKETS_VM_MIRROR || machinesMirror();
    this.#folder = folder;
    this.#name = `${mirror} ${suite}`;
    for (const name of ["lists/partial", "archives/partial", "state"]) {
      mkdirSync(join(folder, name), { recursive: true });
    }
    writeFileSync(
      join(folder, "sources.list"),
      `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`,
    );
    writeFileSync(join(folder, "status"), "");
    this.#options = Object.entries({
      "Dir::Etc::sourcelist": join(folder, "sources.list"),
      "Dir::Etc::sourceparts": "/dev/null",
      "Dir::Etc::preferences": "/dev/null",
      "Dir::Etc::preferencesparts": "/dev/null",
      "Dir::State": join(folder, "state"),
      "Dir::State::lists": join(folder, "lists"),
      "Dir::State::status": join(folder, "status"),
      "Dir::Cache": folder,
      "Dir::Cache::archives": join(folder, "archives"),
      "Dir::Cache::pkgcache": "",
      "Dir::Cache::srcpkgcache": "",
      "APT::Architecture": "amd64",
      "APT::Architectures": "amd64",
      "APT::Update::Error-Mode": "any", // a list that is not there is an error, not a warning
      "APT::Sandbox::User": "", // the folder is not open to apt's own user
      "Acquire::Languages": "none",
      "Acquire::Retries": "3",
      "Acquire::http::Timeout": "60",
      "Debug::NoLocking": "1",
    }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    this.#run("apt-get", ["-qq", "update"], `Cannot read the package lists of ${this.#name}`);
  }

  /** The version of the newest kernel of a flavour, such as `7.2.13+deb14`. */
  newestKernel(flavour) {
    const { suffix, packages: [first], least } = KERNELS[flavour];
    const name = new RegExp(`^${first}([0-9][0-9.]*[0-9+a-z.~]*(?:-[0-9]+)?)${suffix}$`);
    const names = this.#run("apt-cache", ["pkgnames", first], "Cannot list kernels");
    const newest = names.split("\n").map((line) => line.match(name)?.[1])
      .filter((version) => version && order(version, least) >= 0)
      .sort(order).at(-1);
    if (newest) return newest;
    throw new Error(`Cannot find a ${flavour} kernel ${least} or later in ${this.#name}`);
  }

  /** The newest version of a package. */
  versionOf(name) {
    const shown = this.#run("apt-cache", ["show", name], `Cannot find ${name} in ${this.#name}`);
    return shown.match(/^Version: (\S+)$/m)[1];
  }

  /** Downloads packages, and the ones that they depend on unless told not to: paths of the files. */
  download(packages, { dependencies = true } = {}) {
    const folder = join(this.#folder, "archives");
    const before = new Set(readdirSync(folder));
    const why = `Cannot download ${packages.join(" ")}`;
    if (dependencies) {
      const options = ["-qq", "-y", "--download-only", "--no-install-recommends"];
      this.#run("apt-get", [...options, "install", ...packages], why);
    } else {
      this.#run("apt-get", ["-qq", "download", ...packages], why, folder);
    }
    return readdirSync(folder).filter((name) => name.endsWith(".deb") && !before.has(name))
      .map((name) => join(folder, name));
  }

  #run(command, args, why, cwd = this.#folder) {
    const env = { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
    const done = spawnSync(command, [...this.#options, ...args], {
      cwd,
      env,
      encoding: "utf8",
      maxBuffer: 1 << 26,
      timeout: APT_MS_MAX,
      stdio: ["ignore", "pipe", "pipe"],
    });
    if (done.status === 0) return done.stdout;
    throw new Error(`${why}: ${done.error?.message ?? (done.stderr.trim() || done.signal)}`);
  }
}

/** Unpacks a package's files; what an older one has in /lib goes where that leads. */
export function unpack(file, root) {
  const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
  const done = spawnSync("sh", ["-c", script, "sh", file, root], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`Cannot unpack ${file}: ${done.stderr}`);
}

function order(a, b) {
  return a.localeCompare(b, "en", { numeric: true });
}

/** The mirror that this machine's own apt takes Debian from, even if it never did. */
function machinesMirror() {
  const { stdout } = spawnSync("apt-get", ["update", "--print-uris"], { encoding: "utf8" });
  const mirror = (stdout ?? "").match(/^'(\S+\/debian)\/dists\//m)?.[1];
  if (mirror) return mirror;
  throw new Error(
    "Cannot tell where to download Debian's packages: this machine's apt has no Debian among its " +
      "sources; name a mirror with QSOCKETS_VM_MIRROR=http://HOST/debian",
  );
}
