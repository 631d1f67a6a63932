/**
 * The users of deploy/nats/accounts.conf and what each may and may not do, subject by subject.
 */

export type Role = 'coordinator' | 'operator' | 'worker' | 'admin';
/** The inbox prefix that each role connects with. */
export const inboxOf: Record<Role, string> = {
  coordinator: '_INBOX',
  operator: '_INBOX_operator',
  worker: '_INBOX_worker',
  admin: '_INBOX_admin',
};
/** What a role may and may not do, by subject. */
export const rules: Record<
  Role,
  { publish: string[]; noPublish: string[]; subscribe: string[]; noSubscribe: string[] }
> = {
  coordinator: {
    publish: [
      'muster.default.hb',
      'muster.default.node.b.inc.probe',
      'muster.default.node.b.inc.offer',
      'muster.default.ev.7',
      'muster.default.ev.7.grp',
      '$JS.API.STREAM.PURGE.MUSTER_default_LOG_0',
    ],
    noPublish: [
      'muster.default.g.7.grp.join',
      'muster.default.t.orders.0.k',
      '$JS.API.STREAM.DELETE.KV_MUSTER_default',
      '$JS.API.STREAM.UPDATE.KV_MUSTER_default',
      '$JS.API.STREAM.PURGE.KV_MUSTER_default',
      '$JS.API.STREAM.MSG.DELETE.MUSTER_default_LOG_0',
      '$JS.API.STREAM.RESTORE.MUSTER_default_LOG_0',
      '$KV.other.key',
    ],
    subscribe: [
      'muster.default.g.49.>',
      'muster.default.find',
      'muster.default.all',
      'muster.default.hb',
      'muster.default.node.a.inc.probe',
      'muster.default.node.a.inc.offer',
      '$SRV.PING',
      '$SRV.INFO.muster-coordinator',
      '$SRV.STATS.muster-coordinator.id',
      '_INBOX.x.*',
    ],
    noSubscribe: ['>', 'muster.default.>', 'muster.default.log.>', '$KV.>', '_INBOX_operator.>', '$JS.API.>'],
  },
  operator: {
    publish: ['$SRV.PING', '$JS.API.STREAM.INFO.KV_MUSTER_default'],
    noPublish: [
      'muster.default.hb',
      'muster.default.log.L.0',
      'muster.default.node.b.inc.offer',
      'muster.default.g.7.grp.join',
      '$KV.MUSTER_default.node.b',
      '$JS.API.STREAM.DELETE.KV_MUSTER_default',
      '$JS.API.CONSUMER.CREATE.KV_MUSTER_default',
      '_R_.x.y',
    ],
    subscribe: ['_INBOX_operator.x'],
    noSubscribe: ['>', '_INBOX.>', '_R_.>', 'muster.default.>', 'muster.default.g.7.>'],
  },
  worker: {
    publish: [
      'muster.default.find',
      ...['join', 'sync', 'heartbeat', 'leave', 'commit', 'fetch', 'stage-offsets', 'end-stage'].map(
        (api) => `muster.default.g.7.grp.${api}`,
      ),
      'muster.default.t.orders.0.k',
      '$JS.API.STREAM.INFO.MUSTER_default_T_orders',
      '$JS.API.CONSUMER.CREATE.MUSTER_default_T_orders.r.muster.default.t.orders.0.>',
      '$JS.API.CONSUMER.MSG.NEXT.MUSTER_default_T_orders.r',
      '$JS.API.CONSUMER.DELETE.MUSTER_default_T_orders.r',
    ],
    noPublish: [
      'muster.default.log.L.0',
      'muster.default.hb',
      'muster.default.node.a.inc.probe',
      'muster.default.node.a.inc.offer',
      'muster.default.ev.7.grp',
      'muster.default.all',
      ...['delete', 'delete-offsets', 'describe'].map((api) => `muster.default.g.7.grp.${api}`),
      '$KV.MUSTER_default.node.a',
      '$KV.MUSTER_default.cluster',
      '$KV.MUSTER_default_TOPICS.orders',
      '$JS.API.STREAM.CREATE.X',
      '$JS.API.STREAM.UPDATE.MUSTER_default_T_orders',
      '$JS.API.STREAM.DELETE.MUSTER_default_T_orders',
      '$JS.API.STREAM.PURGE.MUSTER_default_T_orders',
      '$JS.API.STREAM.MSG.DELETE.MUSTER_default_T_orders',
      '_R_.x.y',
      '_INBOX_admin.x',
    ],
    subscribe: ['_INBOX_worker.x.*', 'muster.default.ev.7', 'muster.default.ev.7.grp'],
    noSubscribe: [
      '>',
      '_INBOX.>',
      '_INBOX_admin.>',
      '_R_.>',
      'muster.default.>',
      'muster.default.g.7.>',
      'muster.default.find',
      'muster.default.hb',
      'muster.default.node.>',
      'muster.default.log.>',
      '$KV.>',
      '$JS.API.>',
    ],
  },
  admin: {
    publish: [
      'muster.default.all',
      ...['delete', 'delete-offsets', 'describe', 'leave'].map((api) => `muster.default.g.7.grp.${api}`),
      '$KV.MUSTER_default_TOPICS.orders',
    ],
    noPublish: [
      'muster.default.log.L.0',
      'muster.default.hb',
      'muster.default.node.a.inc.offer',
      'muster.default.ev.7',
      '$KV.MUSTER_default.node.a',
      '_R_.x.y',
    ],
    subscribe: ['_INBOX_admin.x.*'],
    noSubscribe: ['>', '_INBOX.>', '_INBOX_worker.>', 'muster.default.g.7.>', 'muster.default.t.>'],
  },
};
