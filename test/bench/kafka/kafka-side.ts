/**
 * The Kafka side: brokers, and the peer that drives its consumers.
 */

import type { KafkaBrokers } from './kafka-brokers.js';
import type { KafkaPeer } from './peer.js';
import type { Side } from './side.js';

export type KafkaProtocol = 'classic' | 'consumer';

/** @param protocol the members' `group.protocol` */
export function kafkaSide(brokers: KafkaBrokers, peer: KafkaPeer, protocol: KafkaProtocol): Side {
  const order = async (op: string, fields: object = {}): Promise<void> => {
    await peer.order(op, fields);
  };
  const count = brokers.names.length;
  const nameOf = (node: number) => `broker-${node}`;
  const settle = (goHome: boolean) => order('settle', { brokers: count, goHome });
  return {
    name: protocol === 'classic' ? 'kafka' : 'kafka, new protocol',
    topic: (name, partitions, messages) => order('topic', { name, partitions, messages }),
    open: (groups, settings) => order('open', { groups, protocol, ...settings }),
    close: () => order('close'),
    join: (group) => peer.ask('join', { group }),
    leave: (group) => peer.ask('leave', { group }),
    commits: (each) => peer.ask('commits', { each }),
    arm: () => order('arm'),
    strike: () => peer.ask('strike'),
    watch: (everyMs) => order('watch', { everyMs }),
    unwatch: () => peer.ask('unwatch'),
    generations: () => peer.ask('generations'),
    coordinators: brokers.names,
    owners: async () => (await peer.ask('cluster')).owners.map(nameOf),
    victim: async () => {
      const { controller } = await peer.ask('cluster');
      return brokers.names.find((name) => name !== nameOf(controller)) ?? '';
    },
    kill: (name) => brokers.kill(name),
    // A broker is coordinator and store in one.
    killHost: undefined,
    revive: async (name) => {
      brokers.start(name);
      await settle(true);
    },
    restart: async (name) => {
      await brokers.terminate(name);
      brokers.start(name);
      await settle(false);
    },
    idleGroups: (groups, topic, partitions) => order('idle', { count: groups, topic, partitions }),
    resident: async () => ({ coordinatorsMiB: await brokers.residentMiB(), storeMiB: [] }),
    stop: async () => {
      await peer.stop();
      await brokers.stop();
    },
  };
}
