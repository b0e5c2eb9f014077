/**
 * The receiving side of a session: video from one port, RTCP from the other, answers to the sender,
 * and what is said about it all.
 */

import type { RemoteInfo, Socket } from "node:dgram";
import {
  ntpMiddle,
  parseRtcp,
  parseRtp,
  randomCname,
  type RtpFormat,
  type SenderReport,
  writeRtcp,
} from "../../mod.ts";
import { bitrate, count, percent, table } from "../terminal.ts";
import { Arrivals, type Arrived } from "./arrivals.ts";

/** What is received. */
export interface Session {
  /** Undefined: by the first packet's payload type. */
  format: RtpFormat | undefined;
  payloadType: number | undefined;
  /** The number of the frame marking extension. */
  marking: number;
  /** Takes the bytes of each whole frame. */
  write: (data: Uint8Array) => void;
}

/** What arrived, for the summary. */
export interface Received extends Arrived {
  /** From the first packet to the last. */
  seconds: number;
  /** The share of packets missing in all. */
  lossShare: number;
  /** Datagrams that were no RTP of this session. */
  ignored: number;
  /** What the sender said it had sent, if it said so. */
  sender: { packets: number; octets: number; cname: string | null } | null;
}

const STATIC_FORMATS: Record<number, RtpFormat> = { 32: "mpv", 33: "mp2t" };

/** Receives one session. */
export class Receiver {
  /** When the last packet of video came, ms of `performance.now()`; null before the first. */
  last: number | null = null;
  readonly #session: Session;
  readonly #ssrc = crypto.getRandomValues(new Uint32Array(1))[0];
  readonly #cname = randomCname();
  #arrivals: Arrivals | null = null;
  #first = 0;
  #ignored = 0;
  #source = 0;
  #before: Arrived | null = null;
  #beforeAt = 0;
  /** The sender's last report, when it came, and from where. */
  #told: { report: SenderReport; at: number; from: RemoteInfo } | null = null;
  #sender: { packets: number; octets: number; cname: string | null } | null = null;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Takes a datagram from the video's port. */
  video(datagram: Uint8Array): void {
    const now = performance.now();
    if (!this.#arrivals) {
      const packet = parseRtp(datagram);
      if (!packet) {
        this.#ignored += 1;
        return;
      }
      const { format, payloadType, marking } = this.#session;
      this.#source = packet.ssrc;
      this.#arrivals = new Arrivals(
        format ?? STATIC_FORMATS[packet.payloadType] ?? "h264",
        payloadType ?? packet.payloadType,
        marking,
      );
      this.#first = this.#beforeAt = now;
    }
    const frames = this.#arrivals.push(datagram, now);
    this.last = now;
    for (const { data } of frames) this.#session.write(data);
  }

  /** Takes a datagram from the port after it; true when the sender said goodbye. */
  control(datagram: Uint8Array, from: RemoteInfo): boolean {
    let goodbye = false;
    for (const packet of parseRtcp(datagram) ?? []) {
      if (packet.type === "SR") {
        this.#told = { report: packet, at: performance.now(), from };
        const { packets, octets } = packet;
        this.#sender = { cname: this.#sender?.cname ?? null, packets, octets };
      } else if (packet.type === "SDES" && this.#sender) {
        this.#sender.cname = packet.cname;
      } else if (packet.type === "BYE") {
        // Without video there is no source yet that it could not be.
        goodbye ||= this.#arrivals === null || packet.sources.includes(this.#source);
      }
    }
    return goodbye;
  }

  /** Tells the sender what arrived, if it has told where it is (RFC 3550, 6.4.2). */
  answer(socket: Socket): void {
    if (!this.#told || !this.#arrivals) return;
    const { report, at, from } = this.#told;
    const { reception, jitter } = this.#arrivals.depacketizer;
    const datagram = writeRtcp([
      {
        type: "RR",
        ssrc: this.#ssrc,
        reports: [{
          ssrc: this.#source,
          fractionLost: this.#before?.fractionLost ?? 0,
          lost: reception.lost,
          highest: reception.extendedHighest,
          jitter: jitter.units,
          lastReport: ntpMiddle(report.wallclock),
          delay: performance.now() - at,
        }],
      },
      { type: "SDES", ssrc: this.#ssrc, cname: this.#cname },
    ]);
    socket.send(datagram, from.port, from.address);
  }

  /** Takes what is left when no more comes. */
  flush(): void {
    for (const { data } of this.#arrivals?.flush() ?? []) this.#session.write(data);
  }

  /** One line about the time since the last line. */
  line(): string {
    const now = performance.now();
    const arrived = this.#read();
    const seconds = (now - this.#beforeAt) / 1000;
    const before = this.#before;
    const types = Object.entries(arrived.frames).flatMap(([type, { whole }]) => {
      const more = whole - (before?.frames[type]?.whole ?? 0);
      return more > 0 ? [`${more} ${type}`] : [];
    });
    const incomplete = frames(arrived, "incomplete") - (before ? frames(before, "incomplete") : 0);
    const bytes = arrived.bytes - (before?.bytes ?? 0);
    this.#before = arrived;
    this.#beforeAt = now;
    return [
      `${((now - this.#first) / 1000).toFixed(0)} s: ${types.join(" ") || "no"} frames whole`,
      ...(incomplete > 0 ? [`${incomplete} incomplete`] : []),
      `${percent(arrived.fractionLost)} lost`,
      `jitter ${arrived.jitter.toFixed(1)} ms`,
      bitrate(bytes / seconds),
    ].join(", ");
  }

  /** All that arrived. */
  received(): Received {
    const arrived = this.#read();
    const expected = arrived.packets - arrived.duplicates + arrived.lost;
    return {
      ...arrived,
      seconds: this.last === null ? 0 : (this.last - this.#first) / 1000,
      lossShare: expected > 0 ? arrived.lost / expected : 0,
      ignored: this.#ignored + (this.#arrivals?.depacketizer.ignored ?? 0),
      sender: this.#sender,
    };
  }

  #read(): Arrived {
    return this.#arrivals?.read() ?? {
      frames: {},
      packets: 0,
      bytes: 0,
      lost: 0,
      fractionLost: 0,
      gaps: 0,
      reordered: 0,
      duplicates: 0,
      jitter: 0,
    };
  }
}

/** The summary in words. */
export function receivedText(received: Received): string {
  const { packets, bytes, seconds, lost, gaps, reordered, duplicates, jitter, ignored } = received;
  if (packets === 0) {
    return "nothing came" + (ignored > 0 ? `, but ${ignored} other datagrams` : "");
  }
  const rows = Object.entries(received.frames).sort().map(([type, counts]) => [
    type,
    counts.whole,
    counts.incomplete,
  ]);
  const lines = [
    table(["frames", "whole", "incomplete"], [
      ...rows,
      ["all", frames(received, "whole"), frames(received, "incomplete")],
    ]),
    "",
    `${count(packets, "packet")}, ${bytes} bytes in ${seconds.toFixed(1)} s ` +
    `(${bitrate(bytes / Math.max(seconds, 0.001))}), jitter ${jitter.toFixed(1)} ms`,
    `${lost} lost (${percent(received.lossShare)}) in ${count(gaps, "gap")}, ` +
    `${reordered} out of order, ${count(duplicates, "duplicate")}`,
  ];
  if (received.sender) lines.push(`the sender counts ${count(received.sender.packets, "packet")}`);
  if (ignored > 0) lines.push(`${count(ignored, "other datagram")}`);
  return lines.join("\n");
}

function frames(arrived: Arrived, state: "whole" | "incomplete"): number {
  return Object.values(arrived.frames).reduce((sum, counts) => sum + counts[state], 0);
}
