import { VirtualClock } from '@muster/testkit/internals';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { makeRefusalLog, type Refusal } from './refusal-log.js';

test('the first refusal of an error has a line at once, those that follow share one', async () => {
  const lines: { level: number; msg: string; error: string; detail: string; more?: number }[] = [];
  const clock = new VirtualClock();
  const refused = makeRefusalLog(pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) }), clock);
  const refusal = (error: Refusal['error'], detail: string): Refusal => ({ subject: 's', error, detail });
  refused(refusal('INVALID_REQUEST', 'first'));
  refused(refusal('NOT_COORDINATOR', 'other'));
  for (let index = 0; index < 1_000; index += 1) refused(refusal('INVALID_REQUEST', `number ${index}`));
  expect(lines.map(({ detail }) => detail)).toEqual(['first', 'other']);
  await clock.advance(10_000);
  expect(lines.slice(2)).toMatchObject([{ msg: 'requests refused', detail: 'number 999', more: 1_000 }]);
  await clock.advance(10_000);
  refused(refusal('INVALID_REQUEST', 'later'));
  expect(lines.at(-1)).toMatchObject({ msg: 'request refused', detail: 'later' });
  expect(lines).toHaveLength(4);
});
