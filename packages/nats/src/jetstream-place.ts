/**
 * Where the JetStream is that holds the streams and buckets of a cluster: that of the server we are connected to, that of another
 * domain behind a leaf node, or that of another account which is imported under a prefix.
 *
 * Does not check that it is there: `requireServer` asks.
 *
 * 1. Requests of the API go under the prefix, and so do writes of a bucket: leaf nodes between two domains let neither `$JS.API.>`
 *    nor `$KV.>` pass, and the other domain maps `<prefix>.$KV.>` to its own. Whatever has a name of its own (logs, topics, groups)
 *    passes as it is.
 */

export type JetStreamPlace = {
  /** Name of a JetStream domain; one token. */
  readonly domain?: string;
  /** The subjects under which the API is to be found, without a dot at the end. Excludes `domain`. */
  readonly apiPrefix?: string;
};

/** Where a server listens for its own JetStream. */
export const OWN_API = '$JS.API';

/**
 * @returns the prefix of API requests (NATS ADR-19: a domain's is `$JS.<domain>.API`)
 * @throws RangeError for what can be none, or where both are given
 */
export function apiPrefixOf({ domain, apiPrefix }: JetStreamPlace): string {
  if (domain !== undefined && apiPrefix !== undefined) {
    throw new RangeError('a JetStream domain and a prefix of its API exclude each other');
  }
  if (domain !== undefined) {
    if (!/^[^\s.*>\0]+$/.test(domain))
      throw new RangeError(`${JSON.stringify(domain)} is no JetStream domain: one token`);
    return `$JS.${domain}.API`;
  }
  // natscli and the clients take it with a dot at the end, too.
  const prefix = apiPrefix?.replace(/\.$/, '') ?? OWN_API;
  if (/^[^\s.*>\0]+(\.[^\s.*>\0]+)*$/.test(prefix)) return prefix;
  throw new RangeError(`${JSON.stringify(apiPrefix)} is no prefix of the JetStream API: tokens with dots between them`);
}

/** @returns where a message is published that shall be stored under a subject of a bucket */
export function bucketWriteSubject(apiPrefix: string, subject: string): string {
  return apiPrefix === OWN_API ? subject : `${apiPrefix}.${subject}`;
}
