import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NatsServerError } from './errors.js';
import {
  compareVersions,
  formatVersion,
  isClusterSafe,
  type NatsServerVersion,
  parseDebianVersion,
  parseVersion,
  requireVersion,
} from './version.js';

const version = (text: string): NatsServerVersion => parseVersion(text)!;

const anyVersion = fc.record({
  major: fc.nat(30),
  minor: fc.nat(30),
  patch: fc.nat(30),
  prerelease: fc.constantFrom('', 'dev', 'RC.1', 'RC.2', 'RC.10', 'beta'),
});

describe('parsing', () => {
  it.each([
    ['nats-server: v2.10.27\n', '2.10.27'],
    ['nats-server: v2.12.1-RC.4', '2.12.1-RC.4'],
    ['nats-server: 2.14.0-dev', '2.14.0-dev'],
  ])('reads %j as %s', (text, expected) => {
    expect(formatVersion(version(text))).toBe(expected);
  });

  it.each(['', 'nats-server', 'v2.10', 'v2.10.x'])('finds no version in %j', (text) => {
    expect(parseVersion(text)).toBeUndefined();
  });

  it.each([
    ['2.10.27-1+b2', '2.10.27'],
    ['2.15.1-1', '2.15.1'],
    ['1:2.9.10-1+b3', '2.9.10'],
    ['2.16.0~rc.1-1', '2.16.0-rc.1'],
  ])("reads Debian's %s as %s", (text, expected) => {
    expect(formatVersion(parseDebianVersion(text)!)).toBe(expected);
  });

  it.each(['', '2.10', 'latest', '>=2.10.27', '2.10.27 '])('refuses %j as a version to ask for', (text) => {
    expect(() => requireVersion(text)).toThrow(NatsServerError);
  });

  it('accepts a version to ask for with and without v', () => {
    expect(requireVersion('v2.10.27')).toEqual(requireVersion('2.10.27'));
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(anyVersion, (any) => {
        expect(parseVersion(formatVersion(any))).toEqual(any);
      }),
    );
  });
});

describe('order', () => {
  it('sorts as releases came out, prereleases before their release', () => {
    const inOrder = ['2.9.10', '2.10.9', '2.10.27-RC.2', '2.10.27-RC.10', '2.10.27', '2.11.0-dev', '2.11.0', '2.15.1'];
    const shuffled = [...inOrder].reverse().map(version);
    expect(shuffled.sort(compareVersions).map(formatVersion)).toEqual(inOrder);
  });

  it('is antisymmetric and transitive', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, anyVersion, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });

  it.each([
    ['2.10.26', false],
    ['2.10.27-RC.1', false],
    ['2.10.27', true],
    ['2.11.0', true],
    ['3.0.0', true],
    ['2.9.25', false],
  ])('%s is cluster safe: %s', (text, expected) => {
    expect(isClusterSafe(version(text))).toBe(expected);
  });
});
