/** The C functions of kernel/qsocket.h that are bound, each with its prototype. */
export const SYMBOLS = {
  // int32_t qsocketcall(uint32_t call, void *args, uint32_t args_len);
  qsocketcall: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  // int32_t qsend(uint32_t handle, const void *data, uint32_t data_len, uint32_t flags,
  //               uint32_t deadline_us);
  qsend: { parameters: ["u32", "buffer", "u32", "u32", "u32"], result: "i32" },
  // int32_t qsendto(uint32_t handle, const void *data, uint32_t data_len, uint32_t flags,
  //                 uint32_t deadline_us, const struct qsocket_addr *to);
  qsendto: { parameters: ["u32", "buffer", "u32", "u32", "u32", "buffer"], result: "i32" },
  // uint64_t qsocket_now(void);
  qsocket_now: { parameters: [], result: "u64" },
  // int32_t qsocket_layout(char *text, uint32_t text_len);
  qsocket_layout: { parameters: ["buffer", "u32"], result: "i32" },
  // int32_t qsocket_trace_read(struct qsocket_trace *trace, struct qsocket_record *records,
  //                            uint32_t records_max);
  qsocket_trace_read: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
  // int32_t qsocket_trace_replay(const struct qsocket_trace *trace,
  //                              const struct qsocket_record *records,
  //                              struct qsocket_record *out, uint32_t records_max);
  qsocket_trace_replay: { parameters: ["buffer", "buffer", "buffer", "u32"], result: "i32" },
  // int32_t qsocket_plain_send(int32_t fd, const void *data, uint32_t data_len);
  qsocket_plain_send: { parameters: ["i32", "buffer", "u32"], result: "i32" },
} as const;
