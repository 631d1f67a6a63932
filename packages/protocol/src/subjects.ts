/**
 * The NATS subjects of a cluster (architecture.md section 6).
 *
 * A group id becomes one token: bytes outside A-Z a-z 0-9 _ - become `=HH`, the empty id a lone `=`. Injective, readable,
 * and free of the blanks, dots and wildcards that would change the meaning of a subject.
 */

import type { ApiName } from './apis.js';
import { isApiName } from './apis.js';
import type { GroupId, LogId, NodeId, Partition } from './ids.js';
import { isGroupId, isPartition } from './ids.js';
import { utf8Decode, utf8Encode } from './utf8.js';

const hexDigits = '0123456789ABCDEF';

/** @returns the one subject token of any text */
export function encodeToken(text: string): string {
  if (text.length === 0) return '=';
  let token = '';
  for (const byte of utf8Encode(text)) {
    if (isPlain(byte)) token += String.fromCharCode(byte);
    else token += `=${hexDigits.charAt(byte >> 4)}${hexDigits.charAt(byte & 15)}`;
  }
  return token;
}

/** @returns the text of a token, or undefined where no text encodes to it */
export function decodeToken(token: string): string | undefined {
  if (token === '=') return '';
  if (token.length === 0 || token.length > 3 * 4096) return undefined;
  const bytes: number[] = [];
  for (let index = 0; index < token.length; index += 1) {
    const code = token.charCodeAt(index);
    if (code === 0x3d) {
      const high = hexDigits.indexOf(token.charAt(index + 1));
      const low = hexDigits.indexOf(token.charAt(index + 2));
      if (high < 0 || low < 0 || index + 2 >= token.length) return undefined;
      bytes.push(high * 16 + low);
      index += 2;
    } else if (code < 0x80 && isPlain(code)) bytes.push(code);
    else return undefined;
  }
  const text = utf8Decode(Uint8Array.from(bytes));
  return encodeToken(text) === token ? text : undefined;
}

function isPlain(byte: number): boolean {
  return (
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2d ||
    byte === 0x5f
  );
}

/** What a group request's subject says. */
export type GroupSubject = { readonly partition: Partition; readonly group: GroupId; readonly api: ApiName };

/** The subjects of one cluster. Two clusters on one NATS system differ in their prefix. */
export class Subjects {
  readonly prefix: string;
  readonly #groupPrefix: string;

  /** @param cluster the cluster's name: a plain subject token */
  constructor(cluster: string) {
    this.prefix = `muster.${cluster}`;
    this.#groupPrefix = `${this.prefix}.g.`;
  }

  /** Where a request about one group goes; the owner of the partition listens. */
  group(partition: Partition, group: GroupId, api: ApiName): string {
    return `${this.#groupPrefix}${partition}.${encodeToken(group)}.${api}`;
  }
  /** What the owner of a partition subscribes. */
  partitionWildcard(partition: Partition): string {
    return `${this.#groupPrefix}${partition}.>`;
  }
  /** @returns the parts of a subject made by `group`, or undefined for any other subject */
  parseGroup(subject: string): GroupSubject | undefined {
    if (!subject.startsWith(this.#groupPrefix)) return undefined;
    const [partitionToken, groupToken, api, ...rest] = subject.slice(this.#groupPrefix.length).split('.');
    if (partitionToken === undefined || groupToken === undefined || api === undefined || rest.length > 0)
      return undefined;
    const partition = /^(0|[1-9]\d{0,8})$/.test(partitionToken) ? Number(partitionToken) : undefined;
    const group = decodeToken(groupToken);
    if (!isPartition(partition) || !isGroupId(group) || !isApiName(api)) return undefined;
    return { partition, group, api };
  }
  /** Notices of one group. */
  groupEvents(partition: Partition, group: GroupId): string {
    return `${this.prefix}.ev.${partition}.${encodeToken(group)}`;
  }
  /** Notices that concern every group of a partition: its coordinator has changed. */
  partitionEvents(partition: Partition): string {
    return `${this.prefix}.ev.${partition}`;
  }
  /** Messages to one node: `probe`, `hand-over`, ... */
  node(node: NodeId, verb: string): string {
    return `${this.prefix}.node.${node}.${verb}`;
  }
  /** FindCoordinator: any node answers. */
  get find(): string {
    return `${this.prefix}.find`;
  }
  /** Every node answers: scatter-gather. */
  get all(): string {
    return `${this.prefix}.all`;
  }
  /** Heartbeats of the nodes. */
  get heartbeats(): string {
    return `${this.prefix}.hb`;
  }
  /** The log of one coordinator partition (rule O2). */
  log(log: LogId, partition: Partition): string {
    return `${this.prefix}.log.${log}.${partition}`;
  }
}
