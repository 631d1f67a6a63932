import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const cli = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs the command line to its end. */
function run(
  args: readonly string[],
  onStderr: (text: string, interrupt: () => void) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    onStderr(stderr, () => child.kill('SIGINT'));
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

function lastLine(text: string): Record<string, unknown> {
  return JSON.parse(text.trim().split('\n').at(-1) ?? '{}');
}

describe('the demonstration', () => {
  test('loses nothing, keeps every order, and its group survives the death of its coordinator', async () => {
    const ended = await run(['demo', '--duration', '12s', '--rate', '1000', '--json']);
    expect(ended.stderr).toContain('nothing was lost, nothing out of order, the group survived');
    expect(ended.code).toBe(0);
    const result = lastLine(ended.stdout);
    expect(result).toMatchObject({ ok: true, lost: 0, outOfOrder: 0 });
    expect(result['produced']).toBeGreaterThan(5_000);
    expect(result['processed']).toBeGreaterThanOrEqual(Number(result['produced']));
    const [failover, ...more] = result['failovers'] as { generationBefore: number; generationAfter: number }[];
    expect(more).toEqual([]);
    expect(failover).toMatchObject({ partitionsLost: 0 });
    expect(failover?.generationAfter).toBe(failover?.generationBefore);
    expect((result['rebalances'] as { cause: string }[]).map(({ cause }) => cause)).toEqual(['start', 'join', 'leave']);
  });

  test('ends in order when it is interrupted, with a ledger of what happened so far', async () => {
    let isInterrupted = false;
    const ended = await run(['demo', '--duration', '60s', '--rate', '500', '--json'], (stderr, interrupt) => {
      if (isInterrupted || !stderr.includes('Stable')) return;
      isInterrupted = true;
      interrupt();
    });
    expect(ended.stderr).toContain('ledger:');
    expect(lastLine(ended.stdout)).toMatchObject({ ok: true, lost: 0, outOfOrder: 0 });
    expect(ended.code).toBe(0);
  });

  test.each([
    [['--duration', '1s'], /allowed are 10s to 60m/],
    [['--workers', 'many'], /allowed are whole numbers from 1 to 32/],
    [['--nodes', '0'], /allowed are whole numbers from 1 to 9/],
    [['--spede', '1'], /unknown option/],
  ])('refuses %j and says what is allowed', async (args, message) => {
    const ended = await run(['demo', ...args]);
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toMatch(message);
  });
});
