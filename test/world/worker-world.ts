/**
 * One nats-server, one coordinator inside this process, and workers of the library: what the worker's integration tests share.
 *
 * Every test makes topics and groups of its own names; nothing is cleaned up between them. `close` ends it all.
 */

import { type ConnectOptions, type Consumer, type ConsumerOptions, connect, type Muster } from '@muster/worker';
import { until, WAIT_MS } from './processes.js';
import { RealCluster, type RealClusterOptions } from './real-cluster.js';

export class WorkerWorld {
  readonly cluster: RealCluster;
  readonly #workers: Muster[] = [];
  #names = 0;

  private constructor(cluster: RealCluster) {
    this.cluster = cluster;
  }

  static async start(options: RealClusterOptions = {}): Promise<WorkerWorld> {
    const cluster = await RealCluster.start({ partitions: 4, ...options });
    await cluster.startInside('node-1');
    return new WorkerWorld(cluster);
  }

  /** @returns a name nobody has used in this world */
  name(what: string): string {
    this.#names += 1;
    return `${what}-${this.#names}`;
  }

  /** Connects a worker process of its own. */
  async worker(options: ConnectOptions = {}): Promise<Muster> {
    const servers = [...this.cluster.nats.urls];
    const muster = await connect({ servers, cluster: this.cluster.name, ...options });
    this.#workers.push(muster);
    return muster;
  }

  /** Creates a topic with `count` numbered messages in each partition. @returns its name */
  async topic(muster: Muster, partitions: number, count = 0): Promise<string> {
    const topic = this.name('topic');
    await muster.topics.create({ name: topic, partitions, storage: 'memory' });
    await this.produce(muster, topic, partitions, 0, count);
    return topic;
  }

  /** Adds `count` messages to each partition, numbered from `from`. */
  async produce(muster: Muster, topic: string, partitions: number, from: number, count: number): Promise<void> {
    const producer = await muster.producer<number>({ topic });
    const sends: Promise<unknown>[] = [];
    for (let number = from; number < from + count; number += 1) {
      for (let partition = 0; partition < partitions; partition += 1) {
        sends.push(producer.send({ key: `k${partition}`, partition, value: number }));
      }
    }
    await Promise.all(sends);
    await producer.close();
  }

  /** Waits until consumers own this many partitions each, in any order. */
  async untilShared(
    consumers: readonly Pick<Consumer<unknown>, 'assignment'>[],
    counts: readonly number[],
  ): Promise<void> {
    const wanted = [...counts].sort().join();
    const owned = () => [...consumers.map((consumer) => consumer.assignment().length)].sort().join();
    const explain = () => `owned: ${owned()}`;
    await until(`shared as ${wanted}`, () => owned() === wanted, WAIT_MS, explain);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((muster) => muster.close({ timeoutMs: 3_000 })));
    await this.cluster.close();
  }
}

/** Options that most consumers of these tests share. */
export function options<Value = number>(
  group: string,
  topic: string,
  more: Partial<ConsumerOptions<Value>> = {},
): ConsumerOptions<Value> {
  return { group, topics: [topic], sessionTimeoutMs: 6_000, rebalanceTimeoutMs: 20_000, ...more };
}
