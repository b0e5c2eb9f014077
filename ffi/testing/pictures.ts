// Groups of pictures in decode order: who refers to whom, and where each is shown.
//
// A group is an I picture and then, again and again, an anchor (P) with the B pictures that are
// shown before it and decoded after it. In a closed group all that is shown is decoded from the
// group alone. An open one begins with B pictures that are shown before its I picture, so they lean
// on the last anchor of the group before: leading pictures (ISO/IEC 13818-2, 6.3.8, closed_gop). In
// a pyramid the middle of two or more B pictures in a row is a reference for the others.

/** What a group looks like. */
export interface GopShape {
  /** Pictures. */
  frames: number;
  /** B pictures between anchors. */
  bFrames: number;
  open: boolean;
  pyramid: boolean;
}

/** A picture in its place, as far as others are concerned. */
export interface Picture {
  type: "I" | "P" | "B";
  /** The group that it belongs to. */
  group: number;
  /** Others need it. */
  reference: boolean;
  leading: boolean;
  /** The pictures that it is predicted from, by number in decode order. */
  needs: number[];
  /** Its number in display order. */
  display: number;
}

/** The pictures of groups that follow each other, in decode order. */
export function pictures(shapes: readonly GopShape[]): Picture[] {
  const list: Picture[] = [];
  let anchor = -1; // the last I or P picture
  shapes.forEach(({ frames, bFrames, open, pyramid }, group) => {
    const first = list.length; // as many pictures are shown before the group as are decoded
    const leading = open && anchor >= 0 ? Math.min(bFrames, frames - 1) : 0;
    /** An anchor, and the B pictures that are shown before it. */
    const add = (type: "I" | "P", shown: number, count: number, before: number) => {
      const needs = type === "I" ? [] : [before];
      const place = { group, display: shown + count };
      list.push({ type, ...place, reference: true, leading: false, needs });
      anchor = list.length - 1;
      addB({ group, leading: type === "I", shown, count, pyramid, needs: [before, anchor] });
    };
    add("I", first, leading, anchor);
    for (let shown = first + leading + 1; shown < first + frames;) {
      const count = Math.min(bFrames, first + frames - shown - 1);
      add("P", shown, count, anchor);
      shown += count + 1;
    }
  });
  return list;

  function addB(
    { group, leading, shown, count, pyramid, needs }: Pick<Picture, "group" | "leading"> & {
      shown: number;
      count: number;
      pyramid: boolean;
      needs: number[];
    },
  ): void {
    const [before, after] = needs;
    const add = (display: number, reference: boolean, needs: number[]) =>
      list.push({ type: "B", group, reference, leading, needs, display }) - 1;
    const middle = pyramid && count > 1 ? shown + (count >> 1) : undefined;
    const reference = middle === undefined ? -1 : add(middle, true, [before, after]);
    for (let display = shown; display < shown + count; display++) {
      if (display === middle) continue;
      if (middle === undefined) add(display, false, [before, after]);
      else add(display, false, display < middle ? [before, reference] : [reference, after]);
    }
  }
}
