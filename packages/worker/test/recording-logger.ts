/**
 * A logger that writes down what it is told, but for what only debugging wants to know.
 */

import type { Logger } from '../src/logger.js';

export function recordingLogger(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (text: string, fields?: object) => {
    lines.push(`${level} ${text} ${JSON.stringify(fields)}`);
  };
  return { lines, debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') };
}
