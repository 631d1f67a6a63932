/**
 * One run: a plan from the seed, a safety phase full of faults, a liveness phase without any, and the report.
 */

import { SeededRandom } from '../seeded-random.js';
import { type Canary, type CanaryName, canaries } from './canaries.js';
import { Faults } from './faults.js';
import { History } from './history.js';
import { drawPlan, type Plan } from './plan.js';
import { comeToRest } from './rest.js';
import { Scheduler } from './scheduler.js';
import { type InvariantName, type Verdict, Verdicts } from './verdicts.js';
import { World } from './world.js';

export type SimulationOptions = {
  readonly seed: number;
  readonly canary?: CanaryName;
  /** Keeps a transcript; costs time. */
  readonly isWritten?: boolean;
};

export type SimulationReport = {
  readonly seed: number;
  readonly canary: CanaryName | null;
  readonly plan: Plan;
  readonly events: number;
  readonly virtualMs: number;
  readonly commits: number;
  /** Messages that consumers have handled. */
  readonly handled: number;
  readonly hash: string;
  readonly verdicts: Readonly<Record<InvariantName, Verdict>>;
  readonly isViolated: boolean;
  readonly marks: Readonly<Record<string, number>>;
  /** What the groups, logs and nodes with problems went through; empty unless asked for. */
  readonly transcript: readonly string[];
};

/** Time to come up before anything goes wrong. */
const START_WITHIN_MS = 12_000;

/** Runs one seed from start to end. @throws what the simulator itself does wrong */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const { seed, canary: canaryName, isWritten = false } = options;
  const random = new SeededRandom(`sim-${seed}`);
  const plan = drawPlan(random.fork('plan'));
  const scheduler = new Scheduler();
  const history = new History(() => scheduler.now, isWritten);
  const verdicts = new Verdicts(() => scheduler.now);
  const canary: Canary | undefined = canaryName === undefined ? undefined : canaries[canaryName];
  const world = new World({ scheduler, plan, random: random.fork('world'), verdicts, history, canary });
  for (let index = 0; index < plan.nodes; index += 1) world.cluster.start(`n${index + 1}`, index % plan.servers);
  await scheduler.run(START_WITHIN_MS, () =>
    world.partitions.every((partition) => world.cluster.serving(partition).length === 1),
  );
  for (const group of plan.groups) world.addGroup(group);
  await scheduler.run(500 + random.next() * 2_000);
  const faults = new Faults(world, random.fork('faults'));
  faults.start();
  const until = (): boolean => verdicts.isViolated;
  await scheduler.run(plan.safetyMs, until);
  faults.heal();
  if (!verdicts.isViolated) await comeToRest(world);
  const report = {
    seed,
    canary: canaryName ?? null,
    plan,
    events: scheduler.events,
    virtualMs: Math.round(scheduler.now),
    handled: world.groups.reduce((sum, { consumption }) => sum + (consumption?.handling.handledCount ?? 0), 0),
    commits: world.groups.reduce((sum, { watch }) => sum + watch.acknowledgedCommits, 0),
    hash: history.hash,
    verdicts: verdicts.all(),
    isViolated: verdicts.isViolated,
    marks: history.marks,
    transcript: isWritten ? history.transcript(aboutsOf(world)) : [],
  };
  world.cluster.killAll();
  scheduler.stop();
  return report;
}

/** What the problems are about; with a group, the log that it lives in. */
function aboutsOf({ verdicts, groups }: World): readonly string[] {
  const abouts = Object.values(verdicts.all()).flatMap((verdict) =>
    verdict.kind === 'violated' ? verdict.problems.map(({ about }) => about) : [],
  );
  const logs = groups.filter(({ watch }) => abouts.includes(watch.group)).map(({ watch }) => `log ${watch.partition}`);
  return [...abouts, ...logs];
}
