import { describe, expect, it } from 'vitest';
import { FakeIo } from '../test/fake-io.js';
import { troubleLogger } from './trouble-logger.js';

describe('what goes wrong while consuming', () => {
  it('is one plain line, and is not repeated within seconds', () => {
    const io = new FakeIo();
    let nowMs = 0;
    const logger = troubleLogger(io, () => nowMs);
    const outage = { group: 'g', problem: 'nobody listens', silentForMs: 3_000 };
    logger.debug('nothing');
    logger.info('joined');
    logger.warn('no coordinator answers', outage);
    logger.warn('no coordinator answers', outage);
    expect(io.stderr).toBe('no coordinator answers: nobody listens\n');
    nowMs = 11_000;
    logger.warn('no coordinator answers', outage);
    logger.info('the coordinator answers again', { group: 'g' });
    const line = 'no coordinator answers: nobody listens\n';
    expect(io.stderr).toBe(`${line}${line}the coordinator answers again\n`);
  });
});
