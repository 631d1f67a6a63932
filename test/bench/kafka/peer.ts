/**
 * The Kafka peer as a process: orders go in, answers come out, one line each.
 */

import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { z } from 'zod';
import { JavaProcess, SOURCES } from './java.js';
import { parsePeerLine, peerResults } from './peer-lines.js';

type Waiting = { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void };
type Results = typeof peerResults;

export class KafkaPeer {
  readonly #process: JavaProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #logFile: string;
  #orders = 0;

  constructor(classpath: string, servers: readonly string[], logFile: string) {
    this.#logFile = logFile;
    const options = ['-Xmx1G', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', classpath];
    this.#process = new JavaProcess([...options, join(SOURCES, 'KafkaPeer.java'), servers.join(',')], logFile, 'piped');
    const { output } = this.#process;
    if (output === null) throw new Error('the peer has no output');
    createInterface({ input: output }).on('line', (line) => this.#hear(line));
    void this.#process.exited.then((code) => this.#giveUp(`the Kafka peer ended with code ${code}`));
  }

  /** Gives an order and waits until it is done. @throws Error where the peer refuses it or ends */
  async order(op: string, fields: object = {}): Promise<unknown> {
    this.#orders += 1;
    const id = this.#orders;
    if (this.#process.isGone) throw new Error('the Kafka peer is gone');
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#process.input?.write(`${JSON.stringify({ id, op, ...fields })}\n`);
    return answer;
  }

  /** As `order`, for what is answered with more than that it is done. */
  async ask<Op extends keyof Results>(op: Op, fields: object = {}): Promise<z.output<Results[Op]>> {
    const result = await this.order(op, fields);
    return peerResults[op].parse(result) as z.output<Results[Op]>;
  }

  async stop(): Promise<void> {
    await this.#process.end('SIGKILL');
  }

  #hear(line: string): void {
    const said = parsePeerLine(line);
    if (said.kind === 'noise') return;
    const waiting = this.#waiting.get(said.id);
    this.#waiting.delete(said.id);
    if (said.kind === 'result') waiting?.resolve(said.result);
    else waiting?.reject(new Error(`the Kafka peer: ${said.error}; see ${this.#logFile}`));
  }

  #giveUp(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(`${why}; see ${this.#logFile}`));
    this.#waiting.clear();
  }
}
