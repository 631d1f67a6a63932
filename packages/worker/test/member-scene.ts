/**
 * A membership beside a scripted coordinator, with a handler that only writes down what it is asked.
 */

import { groupId, Subjects } from '@muster/protocol';
import { CoordinatorClient } from '../src/coordinator-client.js';
import { silentLogger } from '../src/logger.js';
import type { MemberHandler, NewAssignment } from '../src/member-handler.js';
import { Membership, type MembershipOptions } from '../src/membership.js';
import { FakeNats, FakeTransport } from './fake-transport.js';
import { ScriptedCoordinator } from './scripted-coordinator.js';
import { virtualEnvironment } from './virtual-clock.js';

export class RecordingHandler implements MemberHandler {
  readonly calls: string[] = [];
  /** Stands in for what takes time before a JoinGroup. */
  beforeJoin: () => Promise<void> = async () => {};
  verdict: 'stable' | 'rejoin' = 'stable';

  protocols() {
    this.calls.push('protocols');
    return [{ name: 'one', metadata: Uint8Array.of(1) }];
  }
  async prepare(loss: Error | undefined): Promise<void> {
    this.calls.push(loss === undefined ? 'prepare' : 'lost');
    await this.beforeJoin();
  }
  async assign() {
    this.calls.push('assign');
    return new Map([['member-1', Uint8Array.of(9)]]);
  }
  async install({ identity }: NewAssignment): Promise<'stable' | 'rejoin'> {
    this.calls.push(`install ${identity.generationId}`);
    return this.verdict;
  }
  fence(): void {
    this.calls.push('fence');
  }
  resume(): void {
    this.calls.push('resume');
  }
}

/** @returns a member that has not started yet, and everything around it */
export function memberScene(options: Partial<MembershipOptions> = {}) {
  const nats = new FakeNats();
  const transport = new FakeTransport(nats);
  const environment = virtualEnvironment();
  const coordinator = new ScriptedCoordinator(nats);
  const subjects = new Subjects('default');
  const client = new CoordinatorClient({ transport, subjects, environment, logger: silentLogger });
  const handler = new RecordingHandler();
  const membership = new Membership({
    client,
    environment,
    logger: silentLogger,
    groupId: groupId('billing'),
    groupInstanceId: null,
    clientId: 'test',
    clientHost: 'test-host',
    protocolType: 'test',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 30_000,
    heartbeatIntervalMs: 3_000,
    handler,
    ...options,
  });
  const { clock } = environment;
  const isStable = (generation?: number) => () =>
    membership.state.kind === 'stable' && (generation ?? coordinator.generation) === coordinator.generation;
  const stable = async (generation?: number) => {
    await clock.until('stable', isStable(generation));
  };
  const joined = async () => {
    membership.start();
    await stable();
    handler.calls.length = 0;
  };
  return { transport, clock, coordinator, client, handler, membership, stable, joined };
}
