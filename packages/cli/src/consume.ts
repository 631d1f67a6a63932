/**
 * `muster consume`: shows messages, as a member of a group or just looking.
 *
 * V1 without `--group` nothing is joined and nothing committed. V2 with it, a message is committed only after it was written.
 */

import { bytesCodec } from '@muster/worker';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type AskingFlags, asking, examples, notes } from './commands.js';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import type { Cli } from './io.js';
import { type From, lookAt } from './look.js';
import { MessageWriter, type ShownMessage } from './message-writer.js';
import { type Session, withSession } from './session.js';
import { troubleLogger } from './trouble-logger.js';
import { collectTopics, duration, durationOption, integer, moment, type TopicChoice } from './values.js';

type ConsumeFlags = AskingFlags & {
  readonly group?: string;
  readonly from: From;
  readonly maxMessages?: number;
  readonly idle?: number;
  readonly raw?: boolean;
};

/** How long a group may take to let us in; without a coordinator nobody ever would. */
const JOIN_TIMEOUT_MS = 30_000;
/** Somebody waits for the prompt: what could not be committed by then comes again. */
const CLOSE_TIMEOUT_MS = 3_000;

export function addConsume(program: Command, cli: Cli): void {
  const consume = program
    .command('consume')
    .argument('<topics...>', 'names of topics; without a group also partitions, such as orders:0,1')
    .description('show messages until Ctrl-C, as a member of a group or just looking')
    .option('--group <name>', 'join this group and commit what was shown')
    .addOption(
      new Option('--from <where>', 'earliest, latest, an offset, a moment, or how long ago, such as 10m')
        .argParser(from)
        .default({ kind: 'earliest' }, 'earliest'),
    )
    .option('--max-messages <count>', 'end after this many', integer(1))
    .addOption(durationOption('--idle <time>', 'end when nothing came for this long', { minMs: 10, maxMs: 86_400_000 }))
    .option('--raw', 'only the values, byte for byte, a line each');
  examples(
    consume,
    'muster consume orders',
    'muster consume orders:3 --from 10m --idle 2s -o json | jq .value',
    'muster consume orders --group billing --max-messages 100',
  );
  notes(
    consume,
    'With --group: --timeout bounds the joining, 30 s where it is not given; it may take that long where other members have to give up',
    'partitions first. --idle counts from the first assignment. While no coordinator answers, messages that were assigned go on being shown',
    'and a line on standard error says so.',
  );
  asking(consume).action((topics: string[], flags: ConsumeFlags, command: Command) =>
    withSession(cli, flags, async (session) => {
      const choices = topics.reduce<readonly TopicChoice[]>((before, text) => collectTopics(text, before), []);
      if (flags.group === undefined) await justLook(session, choices, flags);
      else {
        const isGiven = command.getOptionValueSource('timeout') === 'cli';
        await consumeInGroup(session, flags.group, choices, flags, isGiven ? flags.timeout : JOIN_TIMEOUT_MS);
      }
      return exitCodes.ok;
    }),
  );
}

/** Parses `--from`. */
export function from(text: string): From {
  if (text === 'earliest' || text === 'latest') return { kind: text };
  if (/^\d+$/.test(text)) return { kind: 'offset', offset: Number(text) };
  try {
    return { kind: 'time', atMs: /^\d{4}-/.test(text) ? moment(text) : Date.now() - duration(text) };
  } catch {
    throw new InvalidArgumentError(
      'write earliest, latest, an offset like 17, 2026-11-20T10:00:00Z, or 10m for ten minutes ago.',
    );
  }
}

async function justLook(session: Session, choices: readonly TopicChoice[], flags: ConsumeFlags): Promise<void> {
  const ending = new Ending(session.io.interrupted(), flags);
  const writer = new MessageWriter(session.io, flags.output, flags.raw === true);
  ending.begin();
  sayWhat(session, choices, 'without a group');
  try {
    await lookAt(session, choices, flags.from, ending.signal, async (message) => {
      if (ending.signal.aborted) return;
      ending.count();
      if (!(await writer.write(message))) ending.end();
    });
  } finally {
    ending.close();
  }
}

async function consumeInGroup(
  session: Session,
  group: string,
  choices: readonly TopicChoice[],
  flags: ConsumeFlags,
  joinTimeoutMs: number,
): Promise<void> {
  const { io, muster } = session;
  if (choices.some(({ partitions }) => partitions !== undefined)) {
    throw new CliError(
      exitCodes.usage,
      'in a group the coordinator chooses the partitions',
      'leave out --group, or the partitions',
    );
  }
  if (flags.from.kind === 'offset') {
    throw new CliError(
      exitCodes.usage,
      'a group begins at its committed offsets, else at earliest, latest or a moment',
      `"muster groups reset-offsets ${group} --help" shows how to move them`,
    );
  }
  const ending = new Ending(io.interrupted(), flags);
  const writer = new MessageWriter(io, flags.output, flags.raw === true);
  const { signal } = ending;
  if (signal.aborted) return;
  sayWhat(session, choices, `as a member of group ${group}`);
  // Closing everything also ends a join that no coordinator answers.
  const giveUp = () => void muster.close({ timeoutMs: CLOSE_TIMEOUT_MS });
  signal.addEventListener('abort', giveUp, { once: true });
  const joining = muster.consumer({
    group,
    topics: choices.map(({ topic }) => topic),
    codec: bytesCodec,
    joinTimeoutMs,
    logger: troubleLogger(io),
    start: flags.from.kind === 'time' ? { timeMs: flags.from.atMs } : flags.from.kind,
  });
  const consumer = await joining.catch((thrown: unknown) => {
    ending.close();
    if (signal.aborted) return undefined;
    throw thrown;
  });
  if (consumer === undefined) return;
  ending.begin();
  signal.removeEventListener('abort', giveUp);
  // While a message is written the loop is left after it: what was shown is acked, and for what could not be nobody waits.
  let isWriting = false;
  const stop = () => {
    if (!isWriting) void consumer.close({ timeoutMs: CLOSE_TIMEOUT_MS });
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    for await (const message of consumer) {
      // Delivered before the close was heard of, and not to be shown any more: without a mark it comes again.
      if (signal.aborted) break;
      const { topic, partition, offset, timestampMs, key, headers, value } = message;
      const shown: ShownMessage = { topic, partition, offset, timestampMs, key, headers, value };
      isWriting = true;
      // V2
      if (!(await writer.write(shown))) break;
      message.ack();
      ending.count();
      isWriting = false;
      if (signal.aborted) break;
    }
  } finally {
    ending.close();
    await consumer.close({ timeoutMs: CLOSE_TIMEOUT_MS });
  }
}

/** A person before a terminal on which nothing comes should know what is waited for. */
function sayWhat({ io }: Session, choices: readonly TopicChoice[], how: string): void {
  if (!io.isTerminal) return;
  const names = choices.map(({ topic, partitions }) => (partitions === undefined ? topic : `${topic}:${partitions}`));
  io.err(`consuming ${names.join(', ')} ${how}; Ctrl-C ends it\n`);
}

/** Ends at Ctrl-C, after enough messages, or when nothing comes any more; whichever is first. */
class Ending {
  readonly #controller = new AbortController();
  readonly #idleMs: number | undefined;
  #leftMessages: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(interrupted: AbortSignal, flags: Pick<ConsumeFlags, 'maxMessages' | 'idle'>) {
    this.#idleMs = flags.idle;
    this.#leftMessages = flags.maxMessages ?? Number.POSITIVE_INFINITY;
    if (interrupted.aborted) this.#controller.abort();
    interrupted.addEventListener('abort', () => this.#controller.abort(), { once: true });
  }
  /** From here on messages can come: quiet counts. */
  begin(): void {
    this.#restartIdle();
  }
  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  count(): void {
    this.#leftMessages -= 1;
    if (this.#leftMessages <= 0) this.end();
    this.#restartIdle();
  }
  /** There is nobody left to show messages to. */
  end(): void {
    this.#controller.abort();
  }
  close(): void {
    clearTimeout(this.#timer);
  }
  #restartIdle(): void {
    if (this.#idleMs === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), this.#idleMs);
  }
}
