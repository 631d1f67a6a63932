/**
 * Replays one case against a driver, step by step, and says what came out.
 */

import type { CaseRequest, ConformanceCase, RequestOp, Step } from './cases.js';
import { requestArgs } from './cases.js';
import type { CaseReply, ConformanceDriver, DriverFactory } from './driver.js';
import { matches, matchesInOrder } from './matchers.js';

export type Failure = {
  readonly step: number;
  readonly op: string;
  readonly expected: string;
  readonly actual: string;
};
export type Outcome =
  | { readonly kind: 'passed'; readonly id: string }
  | { readonly kind: 'skipped'; readonly id: string; readonly reason: string }
  | { readonly kind: 'failed'; readonly id: string; readonly why: string; readonly failure: Failure };

/** Ends a case early; carries what was expected and what came. */
class Mismatch extends Error {
  readonly expected: string;
  readonly actual: string;

  constructor(expected: string, actual: string) {
    super(`expected ${expected}, got ${actual}`);
    this.expected = expected;
    this.actual = actual;
  }
}

/** Ends a case that this depth cannot replay. */
class Unsupported extends Error {}

/** @returns how the case came out; a driver that throws fails the case */
export async function runCase(tested: ConformanceCase, makeDriver: DriverFactory): Promise<Outcome> {
  const { id, why, steps, config } = tested;
  const run = new CaseRun();
  const driver = await makeDriver(config, (name, reply) => run.note(name, reply));
  let current = 0;
  try {
    for (const [index, step] of steps.entries()) {
      current = index;
      await run.step(driver, step);
      await settle();
      run.checkAnsweredOnce();
    }
    return { kind: 'passed', id };
  } catch (error) {
    if (error instanceof Unsupported) return { kind: 'skipped', id, reason: error.message };
    const op = steps[current]?.op ?? '';
    const { expected, actual } =
      error instanceof Mismatch
        ? error
        : { expected: 'no exception', actual: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    return { kind: 'failed', id, why, failure: { step: current, op, expected, actual } };
  } finally {
    await driver.close();
  }
}

class CaseRun {
  readonly #replies = new Map<string, CaseReply>();
  readonly #ops = new Map<string, string>();
  readonly #repeated: string[] = [];

  note(name: string, reply: CaseReply): void {
    if (this.#replies.has(name)) this.#repeated.push(name);
    else this.#replies.set(name, reply);
  }

  checkAnsweredOnce(): void {
    const [name] = this.#repeated;
    if (name !== undefined) throw new Mismatch(`one reply to ${name}`, 'two');
  }

  async step(driver: ConformanceDriver, step: Step): Promise<void> {
    switch (step.op) {
      case 'advance':
        return driver.advance(step.ms);
      case 'expect':
        return this.#expect(driver, step);
      case 'expectPending': {
        const reply = this.#replies.get(step.of);
        if (reply !== undefined) throw new Mismatch(`no reply to ${step.of} yet`, show(reply));
        return;
      }
      case 'expectGroup': {
        const { op: _, groupId, ...fields } = step;
        const view = await driver.inspect(groupId);
        this.#compare(`group ${groupId}`, fields, view, matches);
        return;
      }
      default:
        if ('args' in step) {
          this.#ops.set(step.as, step.op);
          return driver.request(step.as, this.#resolveRequest(step));
        }
        return this.#hook(driver, step);
    }
  }

  async #hook(driver: ConformanceDriver, hook: Parameters<ConformanceDriver['hook']>[0]): Promise<void> {
    const outcome = await driver.hook(hook);
    if (outcome.kind === 'unsupported') throw new Unsupported(outcome.reason);
  }

  #expect(driver: ConformanceDriver, step: Extract<Step, { op: 'expect' }>): void {
    const reply = this.#replies.get(step.of);
    if (reply === undefined && driver.isHeld(step.of)) {
      throw new Unsupported('no reply leaves before what was decided earlier in the group is durable (release rule)');
    }
    if (reply === undefined) throw new Mismatch(`a reply to ${step.of} with ${show(step.error)}`, 'no reply yet');
    this.#compare(`${step.of}`, { error: step.error }, reply, matches);
    this.#compare(`${step.of}`, step.fields, reply, this.#ops.get(step.of) === 'leave' ? matchesInOrder : matches);
  }

  #compare(
    what: string,
    fields: Record<string, unknown>,
    actual: Record<string, unknown>,
    compare: (expected: unknown, actual: unknown) => boolean,
  ): void {
    for (const [key, value] of Object.entries(fields)) {
      const expected = this.#resolve(value);
      if (!compare(expected, actual[key])) {
        throw new Mismatch(`${what}: ${key} = ${show(expected)}`, `${show(actual[key])} in ${show(actual)}`);
      }
    }
  }

  #resolveRequest(step: Extract<Step, { op: RequestOp }>): CaseRequest {
    const args = requestArgs[step.op].parse(this.#resolve(step.args));
    return { op: step.op, args } as CaseRequest;
  }

  /** Puts the values of references (`$name.field`) in, in values and in keys. Matchers (`$not`) are no references. */
  #resolve(value: unknown): unknown {
    if (typeof value === 'string') return this.#resolveText(value);
    if (Array.isArray(value)) return value.map((each) => this.#resolve(each));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, each]) => {
      const resolvedKey = key.includes('.') ? String(this.#resolveText(key)) : key;
      return [resolvedKey, this.#resolve(each)] as const;
    });
    return Object.fromEntries(entries);
  }

  #resolveText(text: string): unknown {
    const match = /^\$([^.]+)\.(\w+)$/.exec(text);
    const [, name, field] = match ?? [];
    if (name === undefined || field === undefined) return text;
    const reply = this.#replies.get(name);
    if (reply === undefined) throw new Mismatch(`a reply to ${name}, which ${text} refers to`, 'no reply yet');
    return reply[field];
  }
}

/** Lets promises, microtasks and immediate callbacks finish. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
