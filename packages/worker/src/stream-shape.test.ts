import { describe, expect, it, test } from 'vitest';
import { shapeOfSubjects, shapeOfTransform } from './stream-shape.js';

describe('a stream that computes the partition itself', () => {
  test.each([
    [
      'foo.*',
      '{{partition(4,1)}}.foo.{{wildcard(1)}}',
      { subject: '{partition}.foo.{key}', partitions: 4, publish: 'foo.{key}' },
    ],
    [
      'foo.*',
      'foo.{{Partition( 16 , 1 )}}.$1',
      { subject: 'foo.{partition}.{key}', partitions: 16, publish: 'foo.{key}' },
    ],
    [
      'o.*.*',
      'o.{{partition(6,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}',
      { subject: 'o.{partition}.{key}', partitions: 6, publish: 'o.{key}' },
    ],
    // The server hashes what is not all of the key, or the key is not all of the subject: our producers would be wrong about it.
    [
      'o.*.*',
      'o.{{partition(6,1)}}.{{wildcard(1)}}.{{wildcard(2)}}',
      { subject: 'o.{partition}.{key}', partitions: 6, publish: null },
    ],
    ['o.*.*', 'o.{{partition(6,1)}}.{{wildcard(1)}}', { subject: 'o.{partition}.{key}', partitions: 6, publish: null }],
    ['o.*', 'o.{{partition(6,1)}}', { subject: 'o.{partition}', partitions: 6, publish: null }],
    [
      '*.x.*',
      '{{partition(3,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}',
      { subject: '{partition}.{key}', partitions: 3, publish: null },
    ],
    ['foo.>', '{{partition(4,1)}}.foo.>', { subject: '{partition}.foo.{key}', partitions: 4, publish: null }],
  ])('%s to %s', (src, dest, shape) => {
    expect(shapeOfTransform({ src, dest })).toEqual(shape);
  });

  test.each([
    ['foo.*', 'bar.{{wildcard(1)}}'],
    ['foo.*', '{{partition(4,1)}}.{{wildcard(1)}}.tail'],
    ['foo.*', '{{partition(4,1)}}.{{partition(5,1)}}'],
    ['foo.*', '{{split(1,-)}}.{{partition(4,1)}}'],
    ['foo.*', '{{partition(x,1)}}.foo'],
    ['foo.*', '{{partition(0,1)}}.foo'],
  ])('is none where no subject template says the same: %s to %s', (src, dest) => {
    expect(shapeOfTransform({ src, dest })).toBeUndefined();
  });
});

describe('subjects that count', () => {
  it('have the shape of the topic that they would be', () => {
    expect(shapeOfSubjects(['0.bar.>', '1.bar.>', '2.bar.>'])).toEqual({
      subject: '{partition}.bar.{key}',
      partitions: 3,
    });
    expect(shapeOfSubjects(['ev.1', 'ev.0'])).toEqual({ subject: 'ev.{partition}', partitions: 2 });
    expect(shapeOfSubjects(['ev.0.*'])).toEqual({ subject: 'ev.{partition}.{key}', partitions: 1 });
  });
  it('have none where a number is missing, or something else differs', () => {
    for (const subjects of [
      [],
      ['ev.>'],
      ['ev.1', 'ev.2'],
      ['ev.0', 'other.1'],
      ['ev.0', 'ev.1.x'],
      ['ev.*.0', 'ev.*.1'],
    ]) {
      expect(shapeOfSubjects(subjects)).toBeUndefined();
    }
  });
});
