import { describe, expect, it, test } from 'vitest';
import { quoted } from '../output.js';
import { parseOffsets } from './offset-file.js';

const parse = (content: string) => parseOffsets(content, 'x.csv', 'billing');

describe('a file of offsets', () => {
  test.each([
    ["Kafka's CSV", 'orders,0,17\norders,1,4\n'],
    ['CSV with the group in front', 'billing,orders,0,17\nother,orders,0,99\nbilling,orders,1,4'],
    ['CSV with a head', 'group,topic,partition,offset\r\nbilling,orders,0,17\r\nbilling,orders,1,4\r\n'],
    [
      'what a reset printed',
      'group,topic,partition,currentOffset,newOffset\nbilling,orders,0,3,17\nbilling,orders,1,,4',
    ],
    ['JSON', '[{"topic":"orders","partition":0,"offset":17},{"topic":"orders","partition":1,"newOffset":4}]'],
  ])('is %s', (_, content) => {
    expect(parse(content)).toEqual([
      { topic: 'orders', partition: 0, offset: 17 },
      { topic: 'orders', partition: 1, offset: 4 },
    ]);
  });
  it('gives back what --export wrote, whatever the name of the topic', () => {
    const topic = 'a,"b" c';
    expect(parse(`${quoted(topic)},3,9\n`)).toEqual([{ topic, partition: 3, offset: 9 }]);
  });
  test.each(['orders,0', 'orders,x,1', 'orders,0,-1', '{"topic":"a"}', '[{"topic":"a"}]', '[', 'a,0,1\nb,0'])(
    'is not %j',
    (content) => {
      expect(() => parse(content)).toThrow(/x\.csv/);
    },
  );
});
