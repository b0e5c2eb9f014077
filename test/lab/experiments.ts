// All experiments, in the order in which they are run and shown.

import type { Experiment } from "./experiment.ts";
import { perturbation } from "./experiments/perturbation.ts";

export const EXPERIMENTS: readonly Experiment[] = [perturbation];
