import { describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { FakeIo } from '../test/fake-io.js';
import { formats, printable, type Report, render, show } from './output.js';

const report: Report = {
  columns: [
    { key: 'group', title: 'GROUP' },
    { key: 'lag', title: 'LAG' },
  ],
  rows: [
    { group: 'billing', lag: 7, hidden: [1, 2] },
    { group: 'ship, "fast"', lag: null, hidden: [] },
  ],
  name: 'group',
  empty: 'no groups',
};

describe('a report', () => {
  it('is a table without borders for people, numbers to the right, a dash for nothing', () => {
    expect(render('table', report)).toBe('GROUP         LAG\nbilling         7\nship, "fast"    -\n');
  });
  it('has a coloured head only where colours are wanted', () => {
    expect(render('table', report)).not.toContain('\u001b');
    expect(render('table', report, { hasColor: true, columns: undefined })).toContain('\u001b[1m');
  });
  it('is the whole rows in JSON and YAML', () => {
    expect(JSON.parse(render('json', report))).toEqual(report.rows);
    expect(parse(render('yaml', report))).toEqual(report.rows);
  });
  it('is another document in JSON and YAML where it has one', () => {
    const document = { cluster: 'a' };
    expect(JSON.parse(render('json', { ...report, document }))).toEqual(document);
    expect(parse(render('yaml', { ...report, document }))).toEqual(document);
  });
  it('is quoted CSV with the keys as its head', () => {
    expect(render('csv', report)).toBe('group,lag\nbilling,7\n"ship, ""fast""",\n');
  });
  it('is one name per line', () => {
    expect(render('name', report)).toBe('billing\nship, "fast"\n');
    expect(render('name', { ...report, name: (row) => `<${String(row['group'])}>` })).toBe(
      '<billing>\n<ship, "fast">\n',
    );
  });
  test.each(formats)('without rows leaves %s parseable and says so on standard error only to people', (format) => {
    const io = new FakeIo();
    show(io, format, { ...report, rows: [] });
    const expected = { table: '', name: '', csv: 'group,lag\n', json: '[]\n', yaml: '[]\n' }[format];
    expect(io.stdout).toBe(expected);
    expect(io.stderr).toBe(format === 'table' || format === 'name' ? 'no groups\n' : '');
  });
  it('cannot move the cursor or change the title of a terminal', () => {
    const rows = [{ group: '\u001b]0;owned\u0007\u009b2J\n', lag: 1 }];
    const shown = render('table', { ...report, rows });
    expect(shown).toContain('\\x1b]0;owned\\x07\\x9b2J\\x0a');
    expect(render('name', { ...report, rows })).not.toContain('\u001b');
  });
  it('keeps letters of all languages as they are', () => {
    expect(printable('größe 日本 🙂')).toBe('größe 日本 🙂');
  });
});
