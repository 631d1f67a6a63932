import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quoted } from '../output.js';
import { countForeign, readOffsetFile } from './offset-file.js';

describe('a file with offsets', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-cli-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const read = async (content: string) => {
    const path = join(folder, 'offsets');
    await writeFile(path, content);
    return readOffsetFile(path, 'billing');
  };

  it('is what --export writes, for this group or for several', async () => {
    const expected = [{ topic: 'orders', partition: 0, offset: 17 }];
    expect(await read('orders,0,17\n')).toEqual(expected);
    expect(await read('billing,orders,0,17\nshipping,orders,0,3\n')).toEqual(expected);
    expect(await read('[{"topic":"orders","partition":0,"currentOffset":20,"newOffset":17}]')).toEqual(expected);
  });
  it('is also what a reset printed as CSV, and gives back any name of a topic', async () => {
    const head = 'group,topic,partition,currentOffset,newOffset,again,skipped,result';
    const [offset] = await read(`${head}\nbilling,orders,0,20,17,3,0,dry run\n`);
    expect(offset).toEqual({ topic: 'orders', partition: 0, offset: 17 });
    const topic = 'a,"b" c';
    expect(await read(`${quoted(topic)},3,9\n`)).toEqual([{ topic, partition: 3, offset: 9 }]);
  });
  it('says where it is wrong, in which file, and how to write it', async () => {
    await expect(read('orders,0,17\norders,zero,1\n')).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/offsets: line 2 is not a topic/),
      advice: expect.stringContaining('orders,0,17'),
    });
    await expect(read(' \n')).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(/file is empty$/) });
    const bad = read('# ours\norders,0,1\n\norders,1\nbilling,orders,0,x\n').catch((thrown: Error) => thrown.message);
    expect(await bad).toMatch(/: line 4 has not 3 fields.*\n {2}line 5 has not 3 fields/);
    await expect(readOffsetFile(join(folder, 'none'), 'billing')).rejects.toMatchObject({
      exitCode: 3,
      advice: `check the path: it means ${join(folder, 'none')}`,
    });
  });
  it('in JSON is a list, and what is wrong with it is said as of JSON', async () => {
    await expect(read('[{"topic":')).rejects.toThrow(/: it is no JSON: Unexpected end/);
    await expect(read('{"topic":"orders","partition":0,"offset":1}')).rejects.toThrow(/it is JSON, but no list/);
    await expect(read('[{"topic":"orders"}]')).rejects.toThrow(/entry 1 is not a topic/);
  });
  it('with a partition that is there twice is refused, unless it is that of another group', async () => {
    await expect(read('orders,0,17\norders,1,2\norders,0,18\n')).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/: orders:0 is there twice$/),
    });
    expect(await read('billing,orders,0,17\nshipping,orders,0,3\n')).toHaveLength(1);
  });
  it('may hold offsets of groups that nobody named: they are counted', async () => {
    const path = join(folder, 'offsets');
    await writeFile(path, 'billing,orders,0,17\nshipping,orders,0,3\nshipping,orders,1,3\n');
    expect(await countForeign(path, ['billing'])).toBe(2);
    expect(await countForeign(path, ['billing', 'shipping'])).toBe(0);
    await writeFile(path, 'orders,0,17\norders,1,17\n');
    expect(await countForeign(path, ['billing', 'other'])).toBe(0);
  });
});
