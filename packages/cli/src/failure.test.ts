import { ConfigError } from '@muster/coordinator';
import { LeaseStreamError, LogStreamError, NatsConnectError } from '@muster/nats';
import { NatsServerError } from '@muster/nats-server';
import { MusterError, type MusterErrorCode } from '@muster/worker';
import { CommanderError } from 'commander';
import { describe, expect, it, test } from 'vitest';
import { exitCodeMeanings, exitCodeOfItems, exitCodes } from './exit-codes.js';
import { CliError, failureOf, verdictOf } from './failure.js';

describe('an exit code', () => {
  test.each<[MusterErrorCode, number]>([
    ['GROUP_ID_NOT_FOUND', 3],
    ['UNKNOWN_TOPIC', 3],
    ['UNKNOWN_MEMBER_ID', 3],
    ['NON_EMPTY_GROUP', 4],
    ['TOPIC_EXISTS', 4],
    ['GROUP_SUBSCRIBED_TO_TOPIC', 4],
    ['INVALID_ARGUMENT', 2],
    ['TIMEOUT', 5],
    ['INCOMPLETE_ANSWER', 5],
    ['STREAM_UNAVAILABLE', 5],
    ['COORDINATOR_NOT_AVAILABLE', 5],
    ['UNKNOWN_SERVER_ERROR', 1],
    ['STREAM_REFUSED', 1],
  ])('of %s is %i', (code, exitCode) => {
    expect(failureOf(new MusterError(code))).toMatchObject({ exitCode, message: expect.stringContaining(code) });
  });
  test.each([
    ['a server that is not there', new NatsConnectError('UNREACHABLE', 'x'), 5],
    ['refused credentials', new NatsConnectError('AUTHENTICATION_FAILED', 'x'), 1],
    ['a port that is taken', new NatsServerError('port-taken', 'x'), 4],
    ['no nats-server', new NatsServerError('not-found', 'x'), 3],
    ['a configuration', new ConfigError(['x']), 2],
    ['streams that nobody can look at', new LeaseStreamError('LEASE_STREAM_UNAVAILABLE', 'x'), 5],
    ['a stream with other settings', new LogStreamError('LOG_STREAM_DIFFERS', 'x'), 4],
    ['a stream that is missing', new LogStreamError('LOG_STREAM_MISSING', 'x'), 3],
    ['the command line', new CommanderError(1, 'commander.unknownOption', 'x'), 2],
    ['help', new CommanderError(0, 'commander.help', 'x'), 0],
    ['anything else', new Error('x'), 1],
    ['no error at all', 'x', 1],
  ])('of %s', (_, thrown, exitCode) => {
    expect(failureOf(thrown)).toMatchObject({ exitCode });
  });
  it('is that of the command where it knows best, with what to do next', () => {
    expect(failureOf(new CliError(exitCodes.conflict, 'no', 'do that'))).toEqual({
      exitCode: 4,
      message: 'no',
      advice: 'do that',
    });
  });
  it('comes with advice for everything that a person can mend', () => {
    for (const code of [
      'GROUP_ID_NOT_FOUND',
      'NON_EMPTY_GROUP',
      'CONNECTION_FAILED',
      'INCOMPLETE_ANSWER',
      'UNKNOWN_TOPIC',
    ]) {
      expect(verdictOf(code).advice, code).toMatch(/muster /);
    }
  });
  test.each([
    ['subjects overlap with an existing stream', /topics adopt/],
    ['no suitable peers for placement', /--replicas/],
    ['replicas > 1 not supported in non-clustered mode', /--replicas/],
    ['insufficient storage resources available', /--max-bytes/],
  ])('that JetStream refuses a stream with %j comes with a next step', (reason, advice) => {
    expect(failureOf(new MusterError('STREAM_REFUSED', reason)).advice).toMatch(advice);
  });
  it('of several items is theirs where they agree, and "partly" where some worked', () => {
    expect(exitCodeOfItems([0, 0])).toBe(0);
    expect(exitCodeOfItems([3, 3])).toBe(3);
    expect(exitCodeOfItems([0, 3])).toBe(6);
    expect(exitCodeOfItems([3, 4])).toBe(1);
    expect(exitCodeOfItems([])).toBe(0);
  });
  it('has a meaning, each one', () => {
    expect(exitCodeMeanings.map(([code]) => code)).toEqual(Object.values(exitCodes));
  });
});
