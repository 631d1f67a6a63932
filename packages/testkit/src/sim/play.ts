/** Plays one directed scenario from start to rest. */

import { SeededRandom } from '../seeded-random.js';
import { type Canary, type CanaryName, canaries } from './canaries.js';
import { History } from './history.js';
import { comeToRest } from './rest.js';
import { habits, plan, type Scenario, type ScenarioName, scenarios } from './scenarios.js';
import { Scheduler } from './scheduler.js';
import { type InvariantName, type Verdict, Verdicts } from './verdicts.js';
import { World } from './world.js';

/** Runs one scenario once. @returns what is violated */
export async function play(
  name: ScenarioName,
  attempt: number,
  canaryName?: CanaryName,
): Promise<readonly (readonly [InvariantName, Verdict])[]> {
  const scenario: Scenario = scenarios[name];
  const random = new SeededRandom(`scenario-${name}-${attempt}`);
  const scheduler = new Scheduler();
  const history = new History(() => scheduler.now, false);
  const verdicts = new Verdicts(() => scheduler.now);
  const canary: Canary | undefined = canaryName === undefined ? undefined : canaries[canaryName];
  const world = new World({ scheduler, plan: { ...plan, ...scenario.plan }, random, verdicts, history, canary });
  for (let index = 0; index < plan.nodes; index += 1) world.cluster.start(`n${index + 1}`, index);
  const isUp = () => world.partitions.every((partition) => world.cluster.serving(partition).length === 1);
  await scheduler.run(12_000, isUp);
  const group = world.addGroup({
    name: `group-${attempt}`,
    kind: 'churn',
    members: scenario.members ?? 2,
    statics: scenario.statics ?? 0,
    topicPartitions: 4,
    habits: { ...habits, ...scenario.group },
    liars: 0,
    workers: 0,
    consumers: undefined,
  });
  const until = (condition: () => boolean, ms: number) => scheduler.run(ms, condition);
  await until(() => group.members.every((member) => member.isStable), 5_000);
  await until(() => false, 2_000);
  await scenario.script({
    world,
    group,
    until,
    pass: (ms) => until(() => false, ms).then(() => undefined),
    owner: () => world.cluster.serving(group.watch.partition)[0],
  });
  world.network.meddle = () => undefined;
  world.network.healRoutes();
  world.log.heal();
  world.leases.stream.heal();
  for (const { process, peer } of world.cluster.nodes) {
    process.resume();
    world.network.setLink(peer, 'up');
  }
  if (!verdicts.isViolated) await comeToRest(world);
  world.cluster.killAll();
  scheduler.stop();
  const all = Object.entries(verdicts.all()) as [InvariantName, Verdict][];
  return all.filter(([, { kind }]) => kind === 'violated');
}
