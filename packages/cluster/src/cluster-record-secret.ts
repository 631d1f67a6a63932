/**
 * The secret of a cluster: keeps a node of another environment from joining by mistake (O2).
 *
 * It is no authentication: whoever may read the record can try out secrets against its hash, and whoever may write to NATS needs
 * none. Who may do what is the business of NATS accounts. S1: the secret itself is neither stored nor told.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

export const secretHashSchema = z.object({
  salt: z.string().min(1),
  /** SHA-256 of salt, a line end and secret, in hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type SecretHash = z.output<typeof secretHashSchema>;

/** @param salt fresh for each cluster, so that two with the same secret do not show it */
export function hashSecret(secret: string, salt: string): SecretHash {
  return { salt, sha256: createHash('sha256').update(`${salt}\n${secret}`).digest('hex') };
}

/** @returns what to say where a node with this secret is not one of the cluster's; undefined where it is */
export function differenceOfSecret(hash: SecretHash | undefined, secret: string | undefined): string | undefined {
  const where = 'clusterSecret, or MUSTER_CLUSTER_SECRET in the environment';
  if (hash === undefined) {
    if (secret === undefined) return undefined;
    return `this cluster has no secret, but this node has one (${where}): it is meant for another cluster`;
  }
  if (secret === undefined) return `this cluster has a secret, and this node has none: set ${where}`;
  const given = Buffer.from(hashSecret(secret, hash.salt).sha256, 'hex');
  if (timingSafeEqual(given, Buffer.from(hash.sha256, 'hex'))) return undefined;
  return `this cluster has another secret than this node (${where}): it is meant for another cluster`;
}
