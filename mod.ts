/**
 * Q.Sockets: end-host quality of service for the sockets of Deno and Bun.
 *
 * A program opens or adopts a socket, says which rate and loss the stream needs, and gives each
 * message a deadline, a drop priority and its place in a frame. A scheduler orders, paces and drops
 * whole late frames at the source, before they waste the link.
 *
 * @example
 * ```ts
 * import { qsockinit } from "qsockets";
 *
 * using link = qsockinit({ scheduler: "dwcs", rate: "10mbit" });
 * using video = link.open({
 *   to: { hostname: "127.0.0.1", port: 5004 },
 *   ipg: 40, // a frame every 40 ms,
 *   oln: 2, // of which at most 2
 *   old: 12, // in every 12 may be lost
 * });
 * video.send(new Uint8Array(1200), { deadline: 100, drop: 0, frame: "whole", level: 2 });
 * console.log(video.info().offered); // 1
 * ```
 *
 * @module
 */

// The calls, under the paper's names, and the classes that do their work.
export {
  qattach,
  qchange,
  qclose,
  qinfo,
  qlist,
  qsend,
  qsendto,
  qsocket,
  qsockinit,
} from "./ffi/calls.ts";
export { Link, restoreDevice } from "./ffi/link.ts";
export { QSocket } from "./ffi/socket.ts";
export { QError } from "./ffi/error.ts";
export { monotonic } from "./ffi/clock.ts";
export { DELAY_EDGES, delayPercentile } from "./ffi/delay.ts";
export type { AttachTarget } from "./ffi/attach.ts";
export type {
  DropCounts,
  DropReason,
  FrameCounts,
  LinkGate,
  LinkHost,
  LinkInfo,
  SocketInfo,
  StackInfo,
} from "./ffi/info.ts";
export type { LinkStream } from "./ffi/list.ts";
export type {
  Address,
  Admission,
  AttachOptions,
  ClassOptions,
  DropPriority,
  FrameMark,
  LinkChanges,
  LinkOptions,
  MessageOptions,
  QMessage,
  Scheduler,
  SocketOptions,
  StreamAttributes,
} from "./ffi/options.ts";

// The scheduler under a clock that the test owns.
export { VirtualLink } from "./ffi/simulate.ts";
export type { VirtualEvent, VirtualStream } from "./ffi/simulate.ts";
export type { VirtualLinkOptions } from "./ffi/options.ts";

// What the scheduler of a device was told and what it decided.
export { readTrace, Trace } from "./ffi/trace.ts";
export type { TraceKind, TraceRecord } from "./ffi/trace.ts";

// From a file to frames.
export { demux, Demuxer, FrameParser, frames } from "./media/demux.ts";
export { readFrames } from "./media/source.ts";
export type { DemuxOptions, FramesOptions } from "./media/demux.ts";
export type { FrameSource, ReadOptions } from "./media/source.ts";
export { frameLevel } from "./media/frame.ts";
export { MediaReport } from "./media/report.ts";
export type { ElementaryChunk, Frame, FrameFacts, FrameType, VideoCodec } from "./media/frame.ts";
export type { Damage, DamageKind, SkippedStream } from "./media/report.ts";

// From frames to flagged RTP packets, in time, and back.
export { gopPolicy } from "./media/qos.ts";
export { packetizeFrame, packetizer } from "./media/packetize.ts";
export { depacketize, pace, packetize } from "./media/stream.ts";
export { Timetable } from "./media/pace.ts";
export { Depacketizer } from "./media/depacketize.ts";
export { readSdp, writeSdp } from "./media/sdp.ts";
export {
  frameMarking,
  Jitter,
  parseRtp,
  Reception,
  RTP_CLOCK_HZ,
  RTP_HEADER_BYTES,
  RTP_MARKING_BYTES,
  Unroller,
  writeRtpHeader,
} from "./media/rtp.ts";
export { annexB, nalUnits } from "./media/rtp_h264.ts";
export {
  ntpMiddle,
  parseRtcp,
  randomCname,
  roundTrip,
  RTCP_TEXT_BYTES_MAX,
  writeRtcp,
} from "./media/rtcp.ts";
export type { FrameQos, GopPolicyOptions, GroupPlace, QosPolicy } from "./media/qos.ts";
export type {
  FramePackets,
  PacketizeOptions,
  PacketizerState,
  RtpFormat,
} from "./media/packetize.ts";
export type { DepacketizeOptions, ReceivedFrame } from "./media/depacketize.ts";
export type { Discontinuity, Release } from "./media/pace.ts";
export type { DepacketizeStream, PaceOptions } from "./media/stream.ts";
export type { SdpOptions, SdpStream } from "./media/sdp.ts";
export type { Arrival, FrameMarking, RtpHeader, RtpPacket } from "./media/rtp.ts";
export type {
  Goodbye,
  ReceiverReport,
  ReportBlock,
  RtcpPacket,
  SenderReport,
  SourceDescription,
} from "./media/rtcp.ts";
