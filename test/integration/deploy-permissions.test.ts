/**
 * The permissions of deploy/nats/accounts.conf on three real servers: every role can do what it must and nothing that another
 * role relies on, not even through the reply subject of a request that it may make.
 */

import { resolveNatsServer } from '@muster/nats-server';
import { connect, createInbox, headers, type NatsConnection, StringCodec } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inboxOf, type Role, rules } from './deployed-roles.js';
import {
  type DeployedServers,
  filledIn,
  readCompose,
  readExampleEnvironment,
  startDeployedServers,
  until,
} from './deployed-servers.js';

const text = StringCodec();
const example = await readExampleEnvironment();
const composed = await readCompose();

describe('a cluster of three servers with this configuration', () => {
  let servers: DeployedServers;
  const connections: NatsConnection[] = [];

  beforeAll(async () => {
    const { path } = await resolveNatsServer();
    const environments = Object.entries(composed.services)
      .filter(([name]) => name.startsWith('nats-'))
      .map(([, { environment }]) => filledIn(environment, example));
    servers = await startDeployedServers(path, environments);
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) await connection.close();
  });
  afterAll(async () => {
    await servers?.stop();
  });

  /** A connection and the subjects that the server denied it so far. */
  async function open(role: Role, server = 0): Promise<{ nc: NatsConnection; denied: Set<string> }> {
    const pass = example[`MUSTER_${role.toUpperCase()}_PASSWORD`];
    if (pass === undefined) throw new Error(`no password of ${role}`);
    const nc = await connect({
      servers: servers.urls[server] ?? '',
      ignoreClusterUpdates: true,
      user: role,
      pass,
      inboxPrefix: inboxOf[role],
    });
    connections.push(nc);
    const denied = new Set<string>();
    void (async () => {
      for await (const { permissionContext } of nc.status()) {
        if (permissionContext !== undefined) denied.add(`${permissionContext.operation} ${permissionContext.subject}`);
      }
    })();
    return { nc, denied };
  }

  /** The server answers in order: a denial comes before the PONG; its way through the client takes one turn more. */
  async function settle(nc: NatsConnection): Promise<void> {
    await nc.flush();
    await new Promise((resolve) => setImmediate(resolve));
  }

  describe.each(Object.keys(rules) as Role[])('the user %s', (role) => {
    const { publish, noPublish, subscribe, noSubscribe } = rules[role];

    it.each(publish)('may publish %s', async (subject) => {
      const { nc, denied } = await open(role);
      nc.publish(subject);
      await settle(nc);
      expect([...denied]).toEqual([]);
    });

    it.each(noPublish)('may not publish %s', async (subject) => {
      const { nc, denied } = await open(role);
      nc.publish(subject);
      await settle(nc);
      expect([...denied]).toEqual([`publish ${subject}`]);
    });

    it.each(subscribe)('may subscribe %s', async (subject) => {
      const { nc, denied } = await open(role);
      nc.subscribe(subject, { callback: () => {} });
      await settle(nc);
      expect([...denied]).toEqual([]);
    });

    it.each(noSubscribe)('may not subscribe %s', async (subject) => {
      const { nc, denied } = await open(role);
      nc.subscribe(subject, { callback: () => {} });
      await settle(nc);
      expect([...denied]).toEqual([`subscription ${subject}`]);
    });
  });

  describe('between the accounts', () => {
    const LOG = 'MUSTER_default_LOG_0';

    /** The log stream, made by a coordinator as it makes it: right after the cluster formed it may have to ask again. */
    async function makeLog(coordinator: NatsConnection): Promise<() => Promise<number>> {
      const jsm = await coordinator.jetstreamManager();
      const config = { name: LOG, subjects: ['muster.default.log.L.*'], num_replicas: 3, deny_delete: true };
      await until('the log stream exists', () =>
        jsm.streams.add(config).then(
          () => true,
          () => false,
        ),
      );
      return async () => (await jsm.streams.info(LOG)).state.last_seq;
    }

    it('a worker gets the answer of the node that serves the partition, connected to another server', async () => {
      const owner = await open('coordinator', 0);
      const worker = await open('worker', 2);
      owner.nc.subscribe('muster.default.g.7.>', {
        callback: (_, message) => void message.respond(text.encode('yes')),
      });
      await settle(owner.nc);
      await until("the interest has reached the worker's server", async () => {
        const answer = await worker.nc.request('muster.default.g.7.grp.heartbeat').catch(() => undefined);
        return answer !== undefined && text.decode(answer.data) === 'yes';
      });
      expect([...owner.denied, ...worker.denied]).toEqual([]);
    });

    it('a worker hears at once that nobody serves a partition', async () => {
      const { nc } = await open('worker');
      await expect(nc.request('muster.default.g.8.grp.join', '', { timeout: 20_000 })).rejects.toMatchObject({
        code: '503',
      });
    });

    it('both requests with one inbox are answered, late and in any order: a parked JoinGroup that was sent again', async () => {
      const owner = await open('coordinator', 1);
      const worker = await open('worker', 2);
      const parked: string[] = [];
      owner.nc.subscribe('muster.default.g.9.>', { callback: (_, { reply }) => void parked.push(reply ?? '') });
      await settle(owner.nc);
      const inbox = createInbox(inboxOf.worker);
      const answers: string[] = [];
      worker.nc.subscribe(inbox, {
        callback: (_, { data }) => void (data.length > 0 && answers.push(text.decode(data))),
      });
      await until('two requests are parked', () => {
        worker.nc.publish('muster.default.g.9.grp.join', '', { reply: inbox });
        return parked.length >= 2;
      });
      owner.nc.publish(parked[1] ?? '', text.encode('second'));
      owner.nc.publish(parked[0] ?? '', text.encode('first'));
      await until('both answers are there', () => answers.length === 2);
      expect(answers.sort()).toEqual(['first', 'second']);
    });

    it('every node answers the administrator who asks all, one node answers a worker who asks for a coordinator', async () => {
      const nodes = await Promise.all([open('coordinator', 0), open('coordinator', 1)]);
      let asked = 0;
      for (const [index, { nc }] of nodes.entries()) {
        const answer = text.encode(String(index));
        nc.subscribe('muster.default.all', { callback: (_, message) => void message.respond(answer) });
        nc.subscribe('muster.default.find', {
          queue: 'find',
          callback: (_, message) => {
            asked += 1;
            message.respond(answer);
          },
        });
        await settle(nc);
      }
      const admin = await open('admin', 2);
      const inbox = createInbox(inboxOf.admin);
      const answers = new Set<string>();
      admin.nc.subscribe(inbox, {
        callback: (_, { data }) => void (data.length > 0 && answers.add(text.decode(data))),
      });
      await until('both nodes answer', () => {
        admin.nc.publish('muster.default.all', '', { reply: inbox });
        return answers.size === 2;
      });
      const worker = await open('worker', 2);
      await worker.nc.request('muster.default.find', '', { timeout: 5_000 });
      for (const { nc } of nodes) await settle(nc);
      expect(asked).toBe(1);
    });

    it('notices of a group and of a partition reach a worker', async () => {
      const owner = await open('coordinator', 0);
      const worker = await open('worker', 1);
      const heard = new Set<string>();
      for (const subject of ['muster.default.ev.7', 'muster.default.ev.7.grp']) {
        worker.nc.subscribe(subject, { callback: (_, message) => void heard.add(message.subject) });
      }
      await settle(worker.nc);
      await until('both notices are heard', () => {
        owner.nc.publish('muster.default.ev.7');
        owner.nc.publish('muster.default.ev.7.grp');
        return heard.size === 2;
      });
    });

    it('a reply subject that names a log or a lease leads nowhere', async () => {
      const coordinator = await open('coordinator');
      const lastSeq = await makeLog(coordinator.nc);
      const admin = await open('admin');
      const topic = { name: 'MUSTER_default_T_replies', subjects: ['muster.default.t.replies.>'], num_replicas: 3 };
      await (await admin.nc.jetstreamManager()).streams.add(topic);
      let asked = 0;
      coordinator.nc.subscribe('muster.default.find', {
        callback: (_, message) => {
          asked += 1;
          message.respond(text.encode('an answer that must not be stored'));
        },
      });
      coordinator.nc.publish('muster.default.log.L.0', text.encode('the log takes what coordinators write'));
      await settle(coordinator.nc);
      await until('the log has its first frame', async () => (await lastSeq()) === 1);
      const worker = await open('worker');
      const victim = 'muster.default.log.L.0';
      worker.nc.publish('muster.default.find', '', { reply: victim });
      worker.nc.publish('$JS.API.INFO', '', { reply: victim });
      worker.nc.publish('muster.default.t.replies.0.k', 'x', { reply: victim });
      await settle(worker.nc);
      // What the worker asks after these is answered after these: by the coordinator, by the API, by the topic's stream.
      await worker.nc.request('muster.default.find', '', { timeout: 5_000 });
      await worker.nc.request('$JS.API.INFO', '', { timeout: 5_000 });
      const ack = await worker.nc.jetstream().publish('muster.default.t.replies.0.k', 'y');
      expect(asked).toBe(2);
      expect(ack.seq).toBe(2);
      expect([...worker.denied, ...coordinator.denied]).toEqual([]);
      // An append of the coordinator follows whatever might have gone into the log meanwhile.
      const condition = headers();
      condition.set('Nats-Expected-Last-Subject-Sequence', '1');
      const next = await coordinator.nc.jetstream().publish(victim, 'frame', { headers: condition });
      expect(next.seq).toBe(2);
    });

    it('a worker sees neither logs nor leases: its JetStream is that of its own account', async () => {
      await makeLog((await open('coordinator')).nc);
      const worker = await open('worker');
      const jsm = await worker.nc.jetstreamManager();
      await expect(jsm.streams.info(LOG)).rejects.toMatchObject({ message: 'stream not found' });
    });
  });
});
