// UTF-8 for the pure packages, which are compiled without DOM or Node types and so have no TextEncoder.
// Does not normalise, does not strip a byte order mark.
//
// U1: encode and length agree: utf8Encode(s).length === utf8Length(s).
// U2: no input throws. A lone surrogate encodes as U+FFFD; a malformed sequence decodes as one U+FFFD per maximal
//     subpart, the rule of the WHATWG encoding standard and of Java's String(bytes, UTF_8).

const REPLACEMENT = 0xfffd;
/** Code units handed to String.fromCharCode at once: far below every engine's limit of arguments. */
const CODE_UNITS_PER_CHUNK = 4096;

/** The code point at `index`, with a lone surrogate already replaced. Two code units wide exactly when >= 0x10000. */
function codePointAt(text: string, index: number): number {
  const point = text.codePointAt(index) ?? REPLACEMENT;
  return point >= 0xd800 && point <= 0xdfff ? REPLACEMENT : point;
}

/** Bytes that `utf8Encode(text)` would produce, without producing them. */
export function utf8Length(text: string): number {
  let lengthBytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      lengthBytes += 1;
    } else if (unit < 0x800) {
      lengthBytes += 2;
    } else if (codePointAt(text, index) < 0x10000) {
      lengthBytes += 3;
    } else {
      lengthBytes += 4;
      index++;
    }
  }
  return lengthBytes;
}

/** The UTF-8 bytes of `text`; lone surrogates become U+FFFD (EF BF BD). Never throws. */
export function utf8Encode(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  let at = 0;
  for (let index = 0; index < text.length; index++) {
    const point = codePointAt(text, index);
    if (point < 0x80) {
      bytes[at++] = point;
    } else if (point < 0x800) {
      bytes[at++] = 0xc0 | (point >> 6);
      bytes[at++] = 0x80 | (point & 0x3f);
    } else if (point < 0x10000) {
      bytes[at++] = 0xe0 | (point >> 12);
      bytes[at++] = 0x80 | ((point >> 6) & 0x3f);
      bytes[at++] = 0x80 | (point & 0x3f);
    } else {
      bytes[at++] = 0xf0 | (point >> 18);
      bytes[at++] = 0x80 | ((point >> 12) & 0x3f);
      bytes[at++] = 0x80 | ((point >> 6) & 0x3f);
      bytes[at++] = 0x80 | (point & 0x3f);
      index++;
    }
  }
  return bytes;
}

/** How many continuation bytes follow this lead byte; 0 for a byte that cannot lead. */
function continuationCount(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 1;
  if (lead >= 0xe0 && lead <= 0xef) return 2;
  if (lead >= 0xf0 && lead <= 0xf4) return 3;
  return 0;
}

/** Whether `byte` may follow `lead` directly: rules out overlong forms, surrogates and points above U+10FFFF. */
function isFirstContinuation(lead: number, byte: number): boolean {
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return byte >= lowest && byte <= highest;
}

/** The text of `bytes`; each malformed sequence becomes U+FFFD. A byte order mark is kept. Never throws. */
export function utf8Decode(bytes: Uint8Array): string {
  let text = '';
  let units: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at++] ?? 0;
    let point = lead;
    if (lead >= 0x80) {
      const wanted = continuationCount(lead);
      point = wanted === 0 ? REPLACEMENT : lead & (0x3f >> wanted);
      for (let seen = 0; seen < wanted; seen++) {
        const next = bytes[at] ?? 0;
        if (seen === 0 ? !isFirstContinuation(lead, next) : (next & 0xc0) !== 0x80) {
          point = REPLACEMENT;
          break;
        }
        point = (point << 6) | (next & 0x3f);
        at++;
      }
    }
    if (point >= 0x10000) {
      units.push(0xd7c0 + (point >> 10), 0xdc00 | (point & 0x3ff));
    } else {
      units.push(point);
    }
    if (units.length >= CODE_UNITS_PER_CHUNK) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
}
