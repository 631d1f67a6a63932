import { describe, expect, it } from 'vitest';
import { chooseSite, parseMadison } from './debian.js';
import { formatVersion } from './version.js';

describe('the site', () => {
  it("is that of Debian's main archive, not of the security archive or of another vendor", () => {
    const lines = [
      'http://vendor/apt|nodistro|Vendor|Vendor|main',
      'http://site/debian-security|bookworm-security|Debian|Debian-Security|main',
      'http://site/debian|bookworm|Debian|Debian|contrib',
      'http://site/debian|bookworm|Debian|Debian|main',
    ];
    expect(chooseSite(lines.join('\n'))).toBe('http://site/debian');
  });

  it('is found where apt has no package lists yet and so knows no origin', () => {
    const lines = [
      'http://site/debian-security|bookworm-security|$(ORIGIN)|$(LABEL)|main',
      'http://site/debian|bookworm|$(ORIGIN)|$(LABEL)|main',
    ];
    expect(chooseSite(lines.join('\n'))).toBe('http://site/debian');
  });

  it.each(['', 'file /x|sid|Debian|Debian|main', 'http://a/ [trusted=yes]|sid|Debian|Debian|main'])(
    'is nothing that could end a field of a sources.list line: %j',
    (line) => {
      expect(chooseSite(line)).toBeUndefined();
    },
  );
});

describe('the package table', () => {
  it('lists each version once, releases newest first', () => {
    const table = [
      'nats-server | 2.9.10-1+b3 | http://site oldstable/main amd64 Packages',
      'nats-server | 2.16.0~rc.1-1 | http://site experimental/main amd64 Packages',
      'nats-server | 2.15.1-1 | http://site unstable/main amd64 Packages',
      'nats-server | 2.15.1-1 | http://site testing/main amd64 Packages',
      'other | 9.9.9-1 | http://site unstable/main amd64 Packages',
    ];
    const packages = parseMadison(table.join('\n'));
    expect(packages.map((entry) => formatVersion(entry.version))).toEqual(['2.15.1', '2.9.10', '2.16.0-rc.1']);
    expect(packages[1]?.debianVersion).toBe('2.9.10-1+b3');
  });
});
