/**
 * Plays a transcript: a text of inputs and, indented below each, everything that the group decided: every reply, record, timer
 * and notice. What it says is in `README.md` of this folder.
 *
 * It checks nothing itself: it returns the text with the outputs as they are now, to be compared or written.
 */

import type { Effects, GroupCommand, GroupConfig, GroupSlot, GroupTimer } from '@muster/group';
import { decodeRecord, encodeRecord, GroupReplay, groupConfigDefaults, handle } from '@muster/group';
import type { ApiName } from '@muster/protocol';
import { decode, encode, groupApis, groupId, monotonicMs, requestId, wallMs } from '@muster/protocol';
import { Client, parseWords, type Words } from './client.js';
import { parseDuration, writeDuration, writeFields } from './notation.js';

/** So many timers that fall due in one step of time are a loop. */
const TIMERS_PER_ADVANCE_MAX = 1_000;
const isApi = (word: string): word is ApiName => Object.hasOwn(groupApis, word);

/** @returns the transcript with its outputs as they are now. @throws for a line that it does not understand */
export function playTranscript(text: string): string {
  const play = new Play();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue;
    lines.push(line);
    if (line === '' || line.startsWith('#')) continue;
    lines.push(...play.input(line));
  }
  return lines.join('\n');
}

class Play {
  #nowMs = 0;
  #config: GroupConfig = { ...groupConfigDefaults };
  #slot: GroupSlot | undefined;
  #uuids = 0;
  #seq = 0;
  readonly #clients = new Map<string, Client>();
  readonly #log: { readonly seq: number; readonly bytes: Uint8Array }[] = [];
  readonly #timers = new Map<string, { readonly timer: GroupTimer; readonly deadline: number }>();

  input(line: string): string[] {
    const [, head = ''] = /^> (.*)$/.exec(line) ?? [];
    const [, name, action] = /^(\w+): (.*)$/.exec(head) ?? [];
    try {
      if (name !== undefined && action !== undefined) return this.#request(this.#client(name), action);
      const [word = '', ...rest] = (head === '' ? line : head).split(' ');
      return this.#order(word, rest);
    } catch (error) {
      throw new Error(`cannot play the line ${JSON.stringify(line)}`, { cause: error });
    }
  }

  #order(word: string, rest: readonly string[]): string[] {
    switch (word) {
      case 'config':
        this.#config = { ...this.#config, ...readConfig(parseWords(rest)) };
        return [];
      case 'advance':
        return this.#advance(parseDuration(rest[0] ?? ''));
      case 'sweep':
        return this.#run({ kind: 'sweep' });
      case 'move':
        return [...this.#run({ kind: 'unload' }), ...this.#load()];
      case 'crash':
        return this.#load();
      default:
        throw new Error('neither a request of a client nor config, advance, sweep, move or crash');
    }
  }

  #request(client: Client, action: string): string[] {
    const [api = '', group = '', ...rest] = action.split(' ');
    if (api === 'again') {
      const last = client.last;
      if (last === undefined) throw new Error(`${client.name} has sent nothing yet`);
      return this.#run(last);
    }
    if (!isApi(api)) throw new Error(`${api} is none of ${Object.keys(groupApis).join(', ')}, again`);
    this.#slot ??= { groupId: groupId(group), group: undefined };
    const body = groupApis[api].request.parse({
      groupId: group,
      ...client.request(api, parseWords(rest), (other) => this.#client(other)),
    });
    const command = { kind: 'request', api, ref: requestId(client.newRef(api)), body } as GroupCommand;
    client.last = command;
    return this.#run(command);
  }

  #client(name: string): Client {
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = new Client(name);
      this.#clients.set(name, client);
    }
    return client;
  }

  #context() {
    return {
      now: monotonicMs(this.#nowMs),
      wallNow: wallMs(this.#nowMs),
      newUuid: () => String(++this.#uuids),
      config: this.#config,
    };
  }

  #run(command: GroupCommand): string[] {
    if (this.#slot === undefined) throw new Error('no group yet');
    return this.#carryOut(handle(this.#slot, command, this.#context()));
  }

  /** What the runtime does with effects, and how they read. */
  #carryOut(effects: Effects): string[] {
    const lines: string[] = [];
    for (const effect of effects.timers) {
      const key = writeTimer(effect.timer);
      if (effect.kind === 'set') {
        this.#timers.set(key, effect);
        lines.push(`  timer ${key} set to ${writeDuration(effect.deadline)}`);
      } else {
        this.#timers.delete(key);
        lines.push(`  timer ${key} cancelled`);
      }
    }
    if (effects.records.length > 0) this.#seq += 1;
    for (const record of effects.records) {
      const bytes = encode(encodeRecord(record));
      this.#log.push({ seq: this.#seq, bytes });
      // As it reads from the log: what the bytes lose is not in the transcript either.
      const { kind, ...fields } = readRecord(bytes);
      lines.push(...block(`record ${kind}`, fields));
    }
    for (const { api, ref, error, fields } of effects.replies) {
      lines.push(...block(`reply ${ref} ${error}`, fields));
      const name = ref.split('.')[0] ?? '';
      if (api === 'join') this.#client(name).hear(fields.memberId, error === 'NONE' ? fields.generationId : undefined);
    }
    for (const { kind, ...fields } of effects.notices) lines.push(...block(`notice ${kind}`, fields));
    const decided = effects.replies.length + effects.records.length + effects.timers.length + effects.notices.length;
    return decided === 0 ? ['  nothing'] : lines;
  }

  #advance(ms: number): string[] {
    const end = this.#nowMs + ms;
    const lines: string[] = [];
    for (let fired = 0; ; fired += 1) {
      if (fired > TIMERS_PER_ADVANCE_MAX) throw new Error('the timers do not come to rest');
      let due: { readonly timer: GroupTimer; readonly deadline: number } | undefined;
      for (const each of this.#timers.values()) if (due === undefined || each.deadline < due.deadline) due = each;
      if (due === undefined || due.deadline > end) break;
      this.#nowMs = Math.max(this.#nowMs, due.deadline);
      this.#timers.delete(writeTimer(due.timer));
      lines.push(`  at ${writeDuration(this.#nowMs)} timer ${writeTimer(due.timer)} is due`);
      lines.push(...this.#run({ kind: 'timer', timer: due.timer }).map((line) => `  ${line}`));
    }
    this.#nowMs = end;
    return [...lines, `  now ${writeDuration(end)}`];
  }

  /** The next owner reads the log. Whoever waited at a crash gets no answer. */
  #load(): string[] {
    if (this.#slot === undefined) throw new Error('no group yet');
    this.#timers.clear();
    const replay = new GroupReplay(this.#slot.groupId);
    for (const { seq, bytes } of this.#log) replay.apply(seq, readRecord(bytes));
    const { slot, effects } = replay.finish(this.#context());
    this.#slot = slot;
    const { group } = slot;
    const found = group === undefined ? 'no group' : `${group.phase.kind}, generation ${group.generation}`;
    return [`  loaded ${this.#log.length} records: ${found}`, ...this.#carryOut(effects)];
  }
}

function readRecord(bytes: Uint8Array): ReturnType<typeof decodeRecord> {
  const decoded = decode(bytes);
  if (!decoded.ok) throw new Error(decoded.reason);
  return decodeRecord(decoded.value);
}

function block(title: string, fields: object): string[] {
  const [first = '', ...rest] = writeFields(fields, '      ');
  return [`  ${title}${first === '' ? '' : ` ${first}`}`, ...rest];
}

function writeTimer(timer: GroupTimer): string {
  return 'member' in timer ? `${timer.kind} ${timer.member}` : timer.kind;
}

function readConfig({ named }: Words): Partial<GroupConfig> {
  const config: Record<string, number> = {};
  for (const [key, value] of named) {
    if (!Object.hasOwn(groupConfigDefaults, key)) throw new Error(`${key} is no setting of a group`);
    config[key] = key.endsWith('Ms') ? parseDuration(value) : Number(value);
  }
  return config;
}
