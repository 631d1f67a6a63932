/**
 * Reading replies by API, typed: which schema belongs to which request of the coordinator client.
 */

import { type ApiName, groupApis, type ParsedReply, parseReply, type ReplyOf } from '@muster/protocol';

/** One reader per API; a new API breaks the build here until it has one. */
export const replyReaders: { readonly [Api in ApiName]: (payload: Uint8Array) => ParsedReply<ReplyOf[Api]> } = {
  join: (payload) => parseReply(groupApis.join, payload),
  sync: (payload) => parseReply(groupApis.sync, payload),
  heartbeat: (payload) => parseReply(groupApis.heartbeat, payload),
  leave: (payload) => parseReply(groupApis.leave, payload),
  commit: (payload) => parseReply(groupApis.commit, payload),
  fetch: (payload) => parseReply(groupApis.fetch, payload),
  'delete-offsets': (payload) => parseReply(groupApis['delete-offsets'], payload),
  'stage-offsets': (payload) => parseReply(groupApis['stage-offsets'], payload),
  'end-stage': (payload) => parseReply(groupApis['end-stage'], payload),
  describe: (payload) => parseReply(groupApis.describe, payload),
  delete: (payload) => parseReply(groupApis.delete, payload),
};
