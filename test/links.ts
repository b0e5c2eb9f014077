// The links of the tests of sockets. Each is the program's own, above the stack; or, where a guest's
// tests say so (test/vm/guest/sockets.test.ts), a device's, which is initialised for as long: then the
// same tests are of the scheduler below, by whichever gate the kernel has.

import type { LinkOptions } from "../ffi/options.ts";
import { Link, restoreDevice } from "../ffi/link.ts";

let prepared: string | undefined;

/** From now on links are of this device, as root has it initialised. */
export function linksAreOf(device: string): void {
  prepared = device;
}

/** Whether links are of a device. */
export function areBelow(): boolean {
  return prepared !== undefined;
}

/** Opens a link with this rate. */
export function openLink(options: Omit<LinkOptions, "device" | "system">): Link {
  return prepared === undefined ? new Link(options) : new DeviceLink(prepared, options);
}

class DeviceLink extends Link {
  constructor(device: string, options: LinkOptions) {
    const { admission, ...rest } = options;
    new Link({ ...rest, device, system: true, host: "below" }).close();
    super({ device, ...(admission && { admission }) });
  }

  override close(): void {
    const { handle } = this;
    super.close();
    if (handle) restoreDevice(this.device);
  }
}
