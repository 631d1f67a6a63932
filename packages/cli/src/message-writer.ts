/**
 * One message after the other on standard output, in the format asked for: these are streams, so JSON comes as a line each.
 */

import type { Key } from '@muster/worker';
import { stringify } from 'yaml';
import type { Io } from './io.js';
import { type Format, printable, quoted } from './output.js';

export interface ShownMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Key | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Uint8Array;
}

const csvHead = ['topic', 'partition', 'offset', 'timestamp', 'key', 'value'];

export class MessageWriter {
  readonly #io: Io;
  readonly #format: Format;
  readonly #isRaw: boolean;
  #isFirst = true;

  constructor(io: Io, format: Format, isRaw: boolean) {
    this.#io = io;
    this.#format = format;
    this.#isRaw = isRaw;
  }

  /** Settles when the message has left. @returns false where it could not */
  async write(message: ShownMessage): Promise<boolean> {
    const { value } = message;
    if (this.#isRaw) this.#io.out(`${Buffer.from(value).toString('utf8')}\n`);
    else this.#io.out(this.#text(message));
    this.#isFirst = false;
    return await this.#io.drained();
  }

  #text(message: ShownMessage): string {
    const { topic, partition, offset, key } = message;
    const document = documentOf(message);
    const text = document.value ?? document.valueBase64 ?? '';
    const keyText = key === undefined ? '' : typeof key === 'string' ? key : key.join('.');
    switch (this.#format) {
      case 'json':
        return `${JSON.stringify(document)}\n`;
      case 'yaml':
        return `---\n${stringify(document, { lineWidth: 0 })}`;
      case 'csv': {
        const record = [topic, partition, offset, document.timestamp, keyText, text].map((field) =>
          quoted(String(field)),
        );
        return `${this.#isFirst ? `${csvHead.join(',')}\n` : ''}${record.join(',')}\n`;
      }
      case 'name':
        return `${printable(topic)}:${partition}:${offset}\n`;
      case 'table':
        return `${[`${topic}:${partition}:${offset}`, keyText === '' ? '-' : keyText, text].map(printable).join('\t')}\n`;
      default:
        return unknownFormat(this.#format);
    }
  }
}

function unknownFormat(format: never): never {
  throw new Error(`unhandled format ${String(format)}`);
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** @returns what JSON shows: `valueBase64` instead of `value` where the bytes are no UTF-8 */
function documentOf({ topic, partition, offset, timestampMs, key, headers, value }: ShownMessage) {
  const place = { topic, partition, offset, timestamp: new Date(timestampMs).toISOString(), key: key ?? null, headers };
  const text = textOf(value);
  return text === undefined
    ? { ...place, value: undefined, valueBase64: Buffer.from(value).toString('base64') }
    : { ...place, value: text, valueBase64: undefined };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}
