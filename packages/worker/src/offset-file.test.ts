import { describe, expect, it, test } from 'vitest';
import { parseOffsets } from './offset-file.js';

describe('offsets as text', () => {
  test.each([
    ["Kafka's CSV", 'orders,0,17\norders,1,4\n'],
    ['CSV with remarks, blanks and quotes', '# saved\n"orders", 0 ,17\r\n\norders,1,4'],
    ['CSV with the group in front', 'billing,orders,0,17\nother,orders,0,99\nbilling,orders,1,4'],
    ['CSV with a head', 'group,topic,partition,offset\r\nbilling,orders,0,17\r\nbilling,orders,1,4\r\n'],
    [
      'what a reset printed',
      'group,topic,partition,currentOffset,newOffset\nbilling,orders,0,3,17\nbilling,orders,1,,4',
    ],
    ['JSON', '[{"topic":"orders","partition":0,"offset":17},{"topic":"orders","partition":1,"newOffset":4}]'],
  ])('are %s', (_, text) => {
    expect(parseOffsets(text, { group: 'billing' })).toEqual([
      { topic: 'orders', partition: 0, offset: 17 },
      { topic: 'orders', partition: 1, offset: 4 },
    ]);
  });

  it('keep every group where none is asked for', () => {
    expect(parseOffsets('billing,orders,0,17\nother,orders,0,99')).toHaveLength(2);
  });

  it('have names with commas and quotes in quotes', () => {
    expect(parseOffsets('"a,""b"" c",3,9')).toEqual([{ topic: 'a,"b" c', partition: 3, offset: 9 }]);
  });

  test.each([
    ['orders,0', /entry 1 has not 3 fields/],
    ['orders,x,1', /entry 1 is not a topic, a partition and an offset/],
    ['orders,0,-1', /entry 1/],
    ['a,0,1\nb,0', /entry 2 has not 3 fields/],
    ['{"topic":"a"}', /entry 1/],
    ['[{"topic":"a"}]', /entry 1/],
    ['[', /no JSON array/],
  ])('are not %j, and it says which entry', (text, message) => {
    expect(() => parseOffsets(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => parseOffsets(text)).toThrow(message);
  });
});
