/**
 * What the parts of one connection share.
 */

import type { Environment } from './clock.js';
import type { CoordinatorClient } from './coordinator-client.js';
import type { Logger } from './logger.js';
import type { Streams } from './streams.js';
import type { Telemetry } from './telemetry.js';
import type { Topics } from './topics.js';

export interface MusterContext {
  readonly client: CoordinatorClient;
  readonly streams: Streams;
  readonly topics: Topics;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly clientId: string;
  /** Where the process runs, for people; empty where it is not known. */
  readonly clientHost: string;
}
