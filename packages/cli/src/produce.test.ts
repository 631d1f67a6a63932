import { describe, expect, it, test } from 'vitest';
import { messageOf } from './produce.js';

const lines = { input: 'lines' } as const;
const json = { input: 'json' } as const;

describe('a line to produce', () => {
  it('is the value', () => {
    expect(messageOf('a:b', lines)).toEqual({ value: 'a:b' });
    expect(messageOf('a', { ...lines, key: 'k', header: { h: '1' }, partition: 3 })).toEqual({
      value: 'a',
      key: 'k',
      headers: { h: '1' },
      partition: 3,
    });
  });
  it('has the key before the first separator', () => {
    expect(messageOf('k::v::w', { ...lines, keySeparator: '::' })).toEqual({ key: 'k', value: 'v::w' });
    expect(() => messageOf('kv', { ...lines, keySeparator: '::' })).toThrow(/has no "::"/);
  });
  it('is JSON as consume writes it', () => {
    const line = { topic: 't', partition: 1, offset: 7, key: ['eu', '1'], headers: { a: 'b' }, value: '{"x":1}' };
    expect(messageOf(JSON.stringify(line), json)).toEqual({
      partition: 1,
      key: ['eu', '1'],
      headers: { a: 'b' },
      value: '{"x":1}',
    });
    expect(messageOf('{"value":{"x":1},"key":null}', json)).toEqual({ value: '{"x":1}' });
    expect(messageOf('{"value":1,"partition":4}', { ...json, partition: 2 })).toEqual({ value: '1', partition: 2 });
  });
  it('of a copy has the headers of the original but those that JetStream was told', () => {
    const line = (headers: object) => JSON.stringify({ value: '1', headers });
    expect(messageOf(line({ a: 'b', 'Nats-Msg-Id': '7' }), json)).toEqual({ value: '1', headers: { a: 'b' } });
    expect(messageOf(line({ 'Nats-Msg-Id': '7' }), json)).toEqual({ value: '1' });
    expect(() => messageOf(line({ 'a b': 'c' }), json)).toThrow(/has a header that can be none: "a b"/);
  });
  test.each(['', '{', '[]', '{}', '{"value":1,"key":7}', '{"value":1,"partition":-1}'])('is not %j', (line) => {
    expect(() => messageOf(line, json)).toThrow(/is no JSON object with a value|has no value/);
  });
});
