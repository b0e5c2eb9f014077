/**
 * The RTCP side of a sender: on the port after that of the video it says once in a while how much
 * it has sent and which moment belongs to which timestamp, takes what receivers answer, and says
 * goodbye.
 *
 * The interval is about a second, at random between half and one and a half (RFC 3550, 6.2 and
 * 6.3.1: so that senders do not fall into step). The section's reduced minimum is 360 / (kbit/s of
 * the session) seconds, well below that for any video, and a report of some 60 bytes a second is
 * far from the 5 % of the session that RTCP may have.
 */

import { createSocket, type Socket } from "node:dgram";
import {
  type Address,
  monotonic,
  parseRtcp,
  randomCname,
  roundTrip,
  type RtcpPacket,
  RTP_CLOCK_HZ,
  writeRtcp,
} from "../../mod.ts";

/** What a receiver last said of this sender. */
export interface ReceiverView {
  /** The share of packets lost between its last two reports, 0 to 1. */
  fractionLost: number;
  /** Packets lost since it began. */
  lost: number;
  /** Milliseconds. */
  jitter: number;
  /** Milliseconds; null until it is known. */
  roundTrip: number | null;
}

/** What the reports are about. */
export interface ReporterOptions {
  /** Where the video goes; reports go to the port after it. */
  to: Address;
  ssrc: number;
  /** Packets, and bytes of payload, sent so far. */
  sent: () => { packets: number; octets: number };
}

const INTERVAL_MS = 1000;
const RECEIVERS_MAX = 64;
const UNITS_PER_MS = RTP_CLOCK_HZ / 1000;

/** Sends and receives RTCP for one sender; without a port for it (65535 is taken) it is silent. */
export class Reporter {
  /** By SSRC. */
  readonly receivers = new Map<number, ReceiverView>();
  readonly #options: ReporterOptions;
  readonly #socket: Socket | null;
  readonly #cname = randomCname();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** A moment of `monotonic()` and the timestamp that is decoded, not shown, then. */
  #anchor: { at: number; timestamp: number } | null = null;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#socket = options.to.port < 65535
      ? createSocket(options.to.hostname.includes(":") ? "udp6" : "udp4")
      : null;
    this.#socket?.on("message", (datagram) => this.#take(datagram));
    this.#socket?.on("error", () => {}); // the video goes on without its reports
  }

  /** Takes note of a frame that leaves now: its timestamp, and by how much it is shown later (ms). */
  frame(timestamp: number, displayDelay: number): void {
    const first = this.#anchor === null;
    this.#anchor = {
      at: monotonic(),
      timestamp: timestamp - Math.round(displayDelay * UNITS_PER_MS),
    };
    if (first) this.#report();
  }

  /** Says goodbye, if anything was said before, and closes. */
  async close(reason: string): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#socket) return;
    if (this.#anchor) {
      await this.#send([{ type: "BYE", sources: [this.#options.ssrc], reason }]);
    }
    this.#socket.close();
  }

  #report(): void {
    void this.#send([]);
    const interval = INTERVAL_MS * (0.5 + Math.random());
    this.#timer = setTimeout(() => this.#report(), interval);
  }

  #send(more: readonly RtcpPacket[]): Promise<void> {
    const { ssrc, to, sent } = this.#options;
    const { at, timestamp } = this.#anchor!;
    const now = timestamp + Math.round((monotonic() - at) * UNITS_PER_MS);
    const datagram = writeRtcp([
      {
        type: "SR",
        ssrc,
        wallclock: wallclock(),
        timestamp: ((now % 2 ** 32) + 2 ** 32) % 2 ** 32,
        ...sent(),
        reports: [],
      },
      { type: "SDES", ssrc, cname: this.#cname },
      ...more,
    ]);
    return new Promise((resolve) =>
      this.#socket!.send(datagram, to.port + 1, to.hostname, () => resolve())
    );
  }

  #take(datagram: Uint8Array): void {
    for (const packet of parseRtcp(datagram) ?? []) {
      if (packet.type !== "RR" && packet.type !== "SR") continue;
      const block = packet.reports.find(({ ssrc }) => ssrc === this.#options.ssrc);
      if (!block) continue;
      if (!this.receivers.has(packet.ssrc) && this.receivers.size >= RECEIVERS_MAX) continue;
      this.receivers.set(packet.ssrc, {
        fractionLost: block.fractionLost,
        lost: block.lost,
        jitter: block.jitter / UNITS_PER_MS,
        roundTrip: roundTrip(block, wallclock()),
      });
    }
  }
}

/** Milliseconds since 1970, with fractions. */
function wallclock(): number {
  return performance.timeOrigin + performance.now();
}
