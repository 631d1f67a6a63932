import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupApis } from './apis.js';
import { groupId, nodeId, partition } from './ids.js';
import { decodeToken, encodeToken, Subjects } from './subjects.js';

describe('a group id as a subject token', () => {
  test.each([
    ['', '='],
    ['billing', 'billing'],
    ['a.b', 'a=2Eb'],
    ['a b', 'a=20b'],
    ['*', '=2A'],
    ['>', '=3E'],
    ['=', '=3D'],
    ['groupe-é', 'groupe-=C3=A9'],
    ['g-😀', 'g-=F0=9F=98=80'],
    ['\r\nPUB x', '=0D=0APUB=20x'],
  ])('%j becomes %s', (text, token) => {
    expect(encodeToken(text)).toBe(token);
    expect(decodeToken(token)).toBe(text);
  });

  test('comes back from its token, and is one token of harmless characters, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const token = encodeToken(text);
        expect(token).toMatch(/^[A-Za-z0-9_=-]+$/);
        expect(decodeToken(token)).toBe(text);
      }),
    );
  });

  test.each(['', 'a.b', 'a=2', '=2e', '=41', '==', 'é', 'a='])(
    'is not read from %j, which no text encodes to',
    (token) => {
      expect(decodeToken(token)).toBeUndefined();
    },
  );

  test('of 255 bytes needs at most 765 characters', () => {
    expect(encodeToken('é'.repeat(127)).length).toBeLessThanOrEqual(765);
    expect(() => groupId('é'.repeat(128))).toThrow(/at most 255 bytes/);
  });
});

describe('the subjects of a cluster', () => {
  const subjects = new Subjects('prod');

  test.each(Object.keys(groupApis))('carry partition, group and API %s there and back', (api) => {
    const name = api as keyof typeof groupApis;
    const subject = subjects.group(partition(7), groupId('a.b'), name);
    expect(subject).toBe(`muster.prod.g.7.a=2Eb.${api}`);
    expect(subjects.parseGroup(subject)).toEqual({ partition: 7, group: 'a.b', api });
  });

  test.each([
    'muster.prod.g.7.a',
    'muster.prod.g.7.a.join.x',
    'muster.prod.g.07.a.join',
    'muster.prod.g.-1.a.join',
    'muster.prod.g.7..join',
    'muster.prod.g.7.a=zz.join',
    'muster.prod.g.7.a.unknown',
    'muster.other.g.7.a.join',
    `muster.prod.g.7.${'a'.repeat(256)}.join`,
  ])('do not read %j as a request about a group', (subject) => {
    expect(subjects.parseGroup(subject)).toBeUndefined();
  });

  test('keep two clusters and two nodes apart', () => {
    expect(new Subjects('test').find).not.toBe(subjects.find);
    expect(subjects.node(nodeId('a'), 'x')).not.toBe(subjects.node(nodeId('b'), 'x'));
  });
});
