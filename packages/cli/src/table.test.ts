import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Column, Row } from './cells.js';
import { drawTable } from './table.js';

const columns: readonly Column[] = [
  { key: 'group', title: 'GROUP' },
  { key: 'lag', title: 'LAG' },
  { key: 'id', title: 'CONSUMER-ID', isElastic: true },
  { key: 'host', title: 'HOST', isElastic: true, leaveOut: 2 },
  { key: 'client', title: 'CLIENT-ID', isElastic: true, leaveOut: 1 },
];
const id = 'billing-0b2f4a9e-7c61-4f0e-8a77-3f0d3c2b1a90';
const rows: readonly Row[] = [
  { group: 'billing', lag: 7, id, host: 'worker-17.example', client: 'billing' },
  { group: 'billing', lag: 1_000, id: null, host: null, client: null },
];
const draw = (width: number | undefined) => drawTable(columns, rows, { hasColor: false, columns: width });
const widthOf = (text: string) => Math.max(...text.split('\n').map((line) => line.length));

describe('a table', () => {
  it('is whole where there is no terminal', () => {
    const { text, leftOut } = draw(undefined);
    expect(text.split('\n')[1]).toBe(`billing     7  ${id}  worker-17.example  billing`);
    expect(text.split('\n')[2]).toMatch(/^billing {2}1000 {2}- +- +-$/);
    expect(leftOut).toEqual([]);
  });
  it('shortens what may be shortened before it leaves anything out', () => {
    const { text, leftOut } = draw(70);
    expect(text).toContain('…');
    expect(widthOf(text)).toBeLessThanOrEqual(70);
    expect(leftOut).toEqual([]);
  });
  it('leaves out what is missed least, and says so', () => {
    const { text, leftOut } = draw(40);
    expect(widthOf(text)).toBeLessThanOrEqual(40);
    expect(text).toMatch(/^GROUP +LAG +CONSUMER-ID +HOST/);
    expect(leftOut).toEqual(['CLIENT-ID']);
    expect(draw(30).leftOut).toEqual(['HOST', 'CLIENT-ID']);
  });
  it('leaves out first what has no value at all', () => {
    const bare = rows.map((row) => ({ ...row, host: null }));
    expect(drawTable(columns, bare, { hasColor: false, columns: 40 }).leftOut).toEqual(['HOST']);
  });
  it('never shortens a number, a group or a title, however narrow it is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 120 }), (width) => {
        const { text, leftOut } = draw(width);
        expect(text).toMatch(/^GROUP +LAG +CONSUMER-ID/);
        expect(text).toMatch(/\nbilling +7 /);
        expect(text).toMatch(/\nbilling +1000 /);
        // Narrower than this there is nothing left to leave out.
        if (width >= 26) expect(widthOf(text)).toBeLessThanOrEqual(width);
        else expect(leftOut).toEqual(['HOST', 'CLIENT-ID']);
      }),
    );
  });
  it('shows a value as its column says, and a dash for none', () => {
    const share: readonly Column[] = [{ key: 'share', title: 'SHARE', text: (value) => `${Number(value) * 100} %` }];
    const look = { hasColor: false, columns: undefined };
    expect(drawTable(share, [{ share: 0.5 }, { share: null }], look).text).toBe('SHARE\n 50 %\n    -');
  });
});
