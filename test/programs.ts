/** Runs the programs under examples/ as a user does, for programs.test.ts. */

import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const EXAMPLES = fileURLToPath(new URL("../examples/", import.meta.url));
const PROGRAM_MS_MAX = 30_000;
const TS_PACKET_BYTES = 188;

/** The demo's clip: MPEG-2 video in a transport stream. */
export const CLIP: string = join(EXAMPLES, "clip.m2t");

/** How a program ended. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Variables that a program gets besides those of the test. */
type Environment = Record<string, string>;

/** A program that runs. */
export interface Running {
  ended: Promise<Ended>;
  /** Sends it a Ctrl-C. */
  interrupt(): void;
  /** Resolves when standard error has shown this; rejects if the program ends without it. */
  says(pattern: RegExp): Promise<string>;
  /** The same of standard output. */
  prints(pattern: RegExp): Promise<string>;
}

/** Starts a program of examples/ under the runtime that the tests run under. */
export function start(file: string, args: readonly string[], environment?: Environment): Running {
  const program = [join(EXAMPLES, file), ...args];
  return launch(
    process.execPath,
    process.versions.bun ? program : ["run", "-A", "--no-check", ...program],
    environment,
  );
}

/** Starts any command; it is killed if it does not end in half a minute. */
export function launch(
  command: string,
  args: readonly string[],
  environment: Environment = {},
): Running {
  const env = { ...process.env, ...environment };
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
  const output = { stdout: "", stderr: "" };
  let heard = () => {};
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      heard();
    });
  }
  let gone = false;
  const timer = setTimeout(() => process.kill(child.pid!, "SIGKILL"), PROGRAM_MS_MAX);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      gone = true;
      heard();
      resolve({ code, ...output });
    });
  });
  async function shows(name: "stdout" | "stderr", pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(output[name]);
      if (match) return match[0];
      if (gone) throw new Error(`${command} ended without ${pattern}:\n${output.stderr}`);
      await new Promise<void>((resolve) => heard = resolve);
    }
  }
  return {
    ended,
    // Deno 2's child.kill() makes it forget the exit code.
    interrupt: () => process.kill(child.pid!, "SIGINT"),
    says: (pattern) => shows("stderr", pattern),
    prints: (pattern) => shows("stdout", pattern),
  };
}

/** Runs a program to its end. */
export function play(
  file: string,
  args: readonly string[],
  environment?: Environment,
): Promise<Ended> {
  return start(file, args, environment).ended;
}

/** A port of 127.0.0.1 that is free, and the one after it too, as RTP and RTCP need them. */
export async function freePorts(): Promise<number> {
  for (;;) {
    const first = createSocket("udp4").bind(0, "127.0.0.1");
    await once(first, "listening");
    const { port } = first.address();
    const second = createSocket("udp4");
    const free = port % 2 === 0 && await new Promise<boolean>((resolve) => {
      second.on("error", () => resolve(false));
      second.bind(port + 1, "127.0.0.1", () => resolve(true));
    });
    first.close();
    if (free) second.close();
    if (free) return port;
  }
}

/** Waits until some program has bound this UDP port. */
export async function bound(port: number, by: Running): Promise<void> {
  const local = new RegExp(`:${port.toString(16).padStart(4, "0")} `, "i");
  while (!["udp", "udp6"].some((file) => local.test(localAddresses(file)))) {
    const end = await Promise.race([by.ended, pause(20)]);
    if (end) throw new Error(`it ended before it listened:\n${end.stderr}`);
  }
}

/** The addresses bound, without those connected to. */
function localAddresses(file: string): string {
  const lines = readFileSync(`/proc/net/${file}`, "utf8").trim().split("\n").slice(1);
  return lines.map((line) => `${line.trim().split(/\s+/)[1]} `).join("\n");
}

/** The first `bytes` of the clip or a little more, so that no picture is cut. */
export function excerpt(bytes: number): Uint8Array {
  const clip = readFileSync(CLIP);
  let at = bytes - bytes % TS_PACKET_BYTES;
  while (at < clip.length && !beginsPicture(clip.subarray(at, at + TS_PACKET_BYTES))) {
    at += TS_PACKET_BYTES;
  }
  return clip.subarray(0, at);
}

/** A transport packet with the start of a video PES packet. */
function beginsPicture(packet: Uint8Array): boolean {
  const starts = (packet[1] & 0x40) !== 0;
  const payload = 4 + (packet[3] & 0x20 ? 1 + packet[4] : 0);
  return starts && packet[payload + 2] === 1 && (packet[payload + 3] & 0xf0) === 0xe0;
}

/** A directory that is removed when the tests end. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "qsockets-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Why a command cannot be used here, or false. */
export function lacks(command: string): string | false {
  const { error } = spawnSync(command, ["--version"], { stdio: "ignore" });
  return error ? `${command} is not installed` : false;
}

/** Waits for a file that another program writes. */
export async function written(path: string, by: Running): Promise<void> {
  while (!existsSync(path) || readFileSync(path).length === 0) {
    const end = await Promise.race([by.ended, pause(20)]);
    if (end) throw new Error(`it ended before it wrote ${path}:\n${end.stderr}`);
  }
}

function pause(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(() => resolve(null), ms));
}
