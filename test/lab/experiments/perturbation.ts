// Figures 4 and 5: a video of 20 frames/s, and twice bulk transfer of other processes that fills the
// same link. What comes of the video when it is plain, managed in its own program, and managed on
// a device that was prepared for all programs.

import { frameRates, jitters, type Load, NAMES, type Run, runWay } from "../disturbed.ts";
import type { Experiment, Setting } from "../experiment.ts";
import { findVideo } from "../video.ts";

const WAYS = ["plain", "above", "isolated"] as const;

export const perturbation: Experiment = {
  name: "perturbation",
  title: "Video beside bulk transfer of other processes",
  reproduces:
    "Figures 4 and 5 of the paper: frame rate and inter-frame jitter over time, with two " +
    "perturbations.",
  seconds: (setting) => WAYS.length * (lengthOf(setting) + 3) + 3,
  async run(setting) {
    const load: Load = {
      ...setting,
      idler: null,
      video: await findVideo(setting.film),
      seconds: lengthOf(setting),
    };
    const runs: Run[] = [];
    for (const way of WAYS) {
      setting.progress(NAMES[way], (WAYS.length - runs.length) * (load.seconds + 3));
      runs.push(await runWay(way, load));
    }
    return [frameRates(runs, load), jitters(runs, load)];
  },
};

function lengthOf({ quick }: Setting): number {
  return quick ? 7 : 60;
}
