/**
 * Several groups of two members on a real cluster with heartbeats and commits under way, while a test does its worst.
 */

import type { GroupId } from '@muster/protocol';
import { until } from './processes.js';
import type { RealCluster } from './real-cluster.js';
import { RealGroup, type RealGroupOptions } from './real-group.js';
import { describeRequest } from './requests.js';

/** Failovers and elections included. */
const PATIENCE_MS = 40_000;

export class BusyGroups {
  readonly groups: readonly RealGroup[];
  readonly #cluster: RealCluster;
  readonly #generations: readonly number[];

  private constructor(cluster: RealCluster, groups: readonly RealGroup[]) {
    this.#cluster = cluster;
    this.groups = groups;
    this.#generations = groups.map(({ generationId }) => generationId);
  }

  /** Forms groups and waits for their first commits. @param next names the next group */
  static async start(
    cluster: RealCluster,
    count: number,
    next: () => GroupId,
    options: RealGroupOptions = {},
  ): Promise<BusyGroups> {
    const forming = Array.from({ length: count }, () => new RealGroup(cluster.client, next(), options).form());
    const busy = new BusyGroups(cluster, await Promise.all(forming));
    for (const group of busy.groups) group.keepAlive().keepCommitting();
    await busy.untilCommitted(50);
    return busy;
  }

  /** Waits until so many more commits of each group are acknowledged. */
  async untilCommitted(more: number): Promise<void> {
    const wanted = this.groups.map((group) => group.acknowledged.size + more);
    const isDone = () => this.groups.every((group, at) => group.acknowledged.size >= (wanted[at] ?? 0));
    const explain = () => JSON.stringify(this.groups.map(({ groupId, troubles }) => [groupId, troubles]));
    await until(`${more} more commits of each group are acknowledged`, isDone, PATIENCE_MS, explain);
  }

  /** Sends nothing any more. What is on its way is waited for. */
  async end(): Promise<void> {
    await Promise.all(this.groups.map((group) => group.end()));
  }

  /**
   * Ends, and looks at what has become of the groups.
   * @returns one line for each thing that must not be: an error that a member has heard, a member or a generation that is not what it
   *   was, an acknowledged commit that is gone
   */
  async harm(): Promise<readonly string[]> {
    await this.end();
    const harms = await Promise.all(this.groups.map((group, at) => this.#harmOf(group, this.#generations[at] ?? -1)));
    return harms.flat();
  }

  async #harmOf(group: RealGroup, generationBefore: number): Promise<readonly string[]> {
    const harm = [...group.troubles];
    for (const answer of await group.heartbeats()) if (answer !== 'NONE') harm.push(`a last heartbeat: ${answer}`);
    const { fields } = await this.#cluster.client.ask('describe', describeRequest(group.groupId));
    const { state, generationId, members } = fields ?? { state: 'unknown', generationId: -1, members: [] };
    if (state !== 'Stable') harm.push(`the group is ${state}`);
    if (generationId !== generationBefore) harm.push(`generation ${generationBefore} has become ${generationId}`);
    if (members.length !== group.members.length) harm.push(`${members.length} members`);
    const lost = await group.lostCommits();
    if (lost.length > 0) harm.push(`${lost.length} of ${group.acknowledged.size} acknowledged commits are gone`);
    return harm.map((line) => `${group.groupId}: ${line}`);
  }
}
