/** The deterministic simulator: whole clusters of real code on virtual time, under faults that a seed draws. */

export { type CanaryName, canaries, isCanaryName } from './canaries.js';
export { MARKS_SEEDS_LEAST, requiredMarks } from './marks.js';
export { play } from './play.js';
export { type Scenario, type ScenarioName, scenarios } from './scenarios.js';
export { type SimulationOptions, type SimulationReport, simulate } from './simulation.js';
export { type InvariantName, invariants, type Verdict } from './verdicts.js';
