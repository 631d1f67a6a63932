/**
 * The tool `nsc`, where it is installed: it knows credentials and servers of operators, accounts and users. Asked as natscli asks it.
 */

import { execFile } from 'node:child_process';
import { z } from 'zod';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';

const ANSWER_MS = 10_000;
const ANSWER_BYTES_MAX = 1_048_576;

const schema = z.object({
  user_creds: z.string().min(1),
  operator: z.object({ service: z.array(z.string()).default([]) }).optional(),
});

export interface NscProfile {
  readonly credsFile: string;
  /** Servers, separated by commas; empty where nsc knows none. */
  readonly url: string;
}

/**
 * @param reference such as `nsc://operator/account/user`
 * @throws CliError where the tool is missing, fails, or says something else
 */
export async function askNsc(
  reference: string,
  { env, home }: { readonly env: Readonly<Record<string, string | undefined>>; readonly home: string },
): Promise<NscProfile> {
  const answer = await new Promise<string>((resolve, reject) => {
    const options = { env: { ...env, HOME: home }, timeout: ANSWER_MS, maxBuffer: ANSWER_BYTES_MAX };
    execFile('nsc', ['generate', 'profile', reference], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(error.code === 'ENOENT' ? missing(reference) : failed(reference, stderr.trim() || error.message));
    });
  });
  let profile: unknown;
  try {
    profile = JSON.parse(answer);
  } catch {
    throw failed(reference, 'its answer is no JSON');
  }
  const parsed = schema.safeParse(profile);
  if (!parsed.success) throw failed(reference, 'it names no credentials file (user_creds)');
  return { credsFile: parsed.data.user_creds, url: parsed.data.operator?.service.join(',') ?? '' };
}

function missing(reference: string): CliError {
  return new CliError(
    exitCodes.notFound,
    `the NATS context refers to ${reference}, and there is no "nsc" on PATH to ask`,
    'install nsc, or name a credentials file with --creds',
  );
}

function failed(reference: string, why: string): CliError {
  return new CliError(
    exitCodes.failed,
    `"nsc generate profile ${reference}" failed: ${why}`,
    'name a credentials file with --creds instead',
  );
}
