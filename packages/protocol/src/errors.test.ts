import { describe, expect, test } from 'vitest';
import { errorCatalogue, errorCode, errorName, isErrorName, isRetriable } from './errors.js';

describe('the error catalogue', () => {
  // The table of the conformance cases and of Kafka's Errors.
  test.each([
    ['UNKNOWN_SERVER_ERROR', -1],
    ['NONE', 0],
    ['COORDINATOR_LOAD_IN_PROGRESS', 14],
    ['COORDINATOR_NOT_AVAILABLE', 15],
    ['NOT_COORDINATOR', 16],
    ['ILLEGAL_GENERATION', 22],
    ['INCONSISTENT_GROUP_PROTOCOL', 23],
    ['INVALID_GROUP_ID', 24],
    ['UNKNOWN_MEMBER_ID', 25],
    ['INVALID_SESSION_TIMEOUT', 26],
    ['REBALANCE_IN_PROGRESS', 27],
    ['NON_EMPTY_GROUP', 68],
    ['GROUP_ID_NOT_FOUND', 69],
    ['MEMBER_ID_REQUIRED', 79],
    ['GROUP_MAX_SIZE_REACHED', 81],
    ['FENCED_INSTANCE_ID', 82],
    ['GROUP_SUBSCRIBED_TO_TOPIC', 86],
    ['UNSTABLE_OFFSET_COMMIT', 88],
  ] as const)('gives %s the code %i', (name, code) => {
    expect(errorCode(name)).toBe(code);
    expect(errorName(code)).toBe(name);
  });

  test('has no code twice', () => {
    const codes = Object.values(errorCatalogue).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
  });

  test('knows which errors a client may simply send again', () => {
    expect(isRetriable('NOT_COORDINATOR')).toBe(true);
    expect(isRetriable('FENCED_INSTANCE_ID')).toBe(false);
  });

  test('does not take properties of objects for names', () => {
    expect(isErrorName('toString')).toBe(false);
    expect(isErrorName('NONE')).toBe(true);
  });
});
