/**
 * What happens in the cluster, as log lines for people: one line for what happens to fifty partitions at once, and no line twice.
 *
 * It decides nothing and forgets nothing that matters: each event by itself is there at level debug.
 */

import type { Clock, ClusterReport } from '@muster/cluster';
import type { Logger } from 'pino';

/** Events of partitions that come in the same moment share a line. */
const gatherMs = 100;
/** A lease that cannot be renewed fails every second; that is told this often. */
const leaseLineMs = 10_000;

type Gathered = { readonly kind: ClusterReport['kind']; readonly detail: string | undefined; count: number };

/** @returns what takes the reports of a node */
export function makeClusterLog(log: Logger, clock: Clock): (report: ClusterReport) => void {
  const gathered = new Map<string, Gathered>();
  let nodes = '';
  let leaseLineAt = Number.NEGATIVE_INFINITY;

  const writeGathered = () => {
    for (const { kind, detail, count: partitions } of gathered.values()) {
      if (kind === 'resumed') log.info({ kind, partitions }, 'partitions resumed');
      else log.warn({ kind, partitions, detail }, `partitions ${kind}`);
    }
    gathered.clear();
  };
  const gather = (report: ClusterReport, detail?: string) => {
    const { kind } = report;
    log.debug(report, `partition ${kind}`);
    if (gathered.size === 0) clock.after(gatherMs, writeGathered);
    const known = gathered.get(`${kind} ${detail}`);
    if (known === undefined) gathered.set(`${kind} ${detail}`, { kind, detail, count: 1 });
    else known.count += 1;
  };

  return (report) => {
    switch (report.kind) {
      case 'suspended':
      case 'lost':
        return gather(report, report.detail);
      case 'resumed':
        return gather(report);
      case 'claimed':
      case 'handed-over':
      case 'not-claimed':
        return log.debug(report, `partition ${report.kind}`);
      case 'lives':
        return log.debug(report, 'a suspected node lives');
      case 'suspected':
        return log.debug(report, 'a node is suspected to be dead');
      case 'quarantined':
        return log.error(report, 'partition quarantined: its log cannot be trusted');
      case 'marked':
        return log.warn(report, 'a node is marked dead: its partitions are taken over');
      case 'view-changed': {
        const names = report.nodes.join(', ');
        if (names === nodes) return log.debug(report, 'the nodes of the cluster are as before');
        nodes = names;
        return log.info(report, 'the nodes of the cluster are');
      }
      case 'lease-failed': {
        const isNews = clock.now() - leaseLineAt >= leaseLineMs;
        if (!isNews) return log.debug(report, 'the lease could not be renewed');
        leaseLineAt = clock.now();
        return log.warn(report, 'the lease could not be renewed');
      }
      case 'lease-lost':
        return log.error(report, 'the lease is lost: another node has marked this one dead');
    }
  };
}
