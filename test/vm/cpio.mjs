// The archive that a kernel unpacks as its first file system ("newc"): for each file a header of
// fields of 8 hexadecimal digits, the name and the data, each padded to 4 bytes.
// Source: Documentation/driver-api/early-userspace/buffer-format.rst in Linux.

const MAGIC = "070701";
const REGULAR = 0o100000;

/** The archive of `{ name, mode, data }`; a mode without a file type is a regular file's. */
export function cpio(entries) {
  const parts = entries.flatMap(({ name, mode, data }, index) =>
    record(name, mode > 0o7777 ? mode : REGULAR | mode, Buffer.from(data), index + 1)
  );
  return Buffer.concat([...parts, ...record("TRAILER!!!", 0, Buffer.alloc(0), 0)]);
}

function record(name, mode, data, inode) {
  const [uid, gid, links, time, major, minor, check] = [0, 0, 1, 0, 0, 0, 0];
  const length = Buffer.byteLength(name) + 1;
  const fields = [
    inode,
    mode,
    uid,
    gid,
    links,
    time,
    data.length,
    major,
    minor,
    major,
    minor,
    length,
    check,
  ];
  const header = MAGIC + fields.map((it) => it.toString(16).padStart(8, "0")).join("");
  return [padded(Buffer.from(`${header}${name}\0`)), padded(data)];
}

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
