/**
 * What the reader of an old log and the writer of the new one have in common.
 */

import type { LogRecord } from '@muster/log';
import type { LogPlacement } from '@muster/nats';
import { type GroupId, nodeId } from '@muster/protocol';

/** Where the logs of a cluster lie, whatever their ids. */
export type LogsPlace = Omit<LogPlacement, 'logId'>;

/** A group as it goes into the new log; `offsets` = how many it has. */
export type OldGroup = { readonly group: GroupId; readonly records: readonly LogRecord[]; readonly offsets: number };

/** The writer of every frame of a new log; no node that is asked after it answers. */
export const WRITER = nodeId('restore-log');
