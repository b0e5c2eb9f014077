// All experiments, in the order in which they are run and shown.

import type { Experiment } from "./experiment.ts";
import { acquisition } from "./experiments/acquisition.ts";
import { alternatives } from "./experiments/alternatives.ts";
import { below } from "./experiments/below.ts";
import { calls } from "./experiments/calls.ts";
import { mixture } from "./experiments/mixture.ts";
import { perturbation } from "./experiments/perturbation.ts";
import { scale } from "./experiments/scale.ts";
import { soak } from "./experiments/soak.ts";

export const EXPERIMENTS: readonly Experiment[] = [
  perturbation,
  mixture,
  acquisition,
  calls,
  below,
  alternatives,
  scale,
  soak,
];
