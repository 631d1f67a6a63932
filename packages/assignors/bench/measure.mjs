// Measures the assignors on large groups: `npx tsc -b packages/assignors && node packages/assignors/bench/measure.mjs`.
// Prints milliseconds per call (best and worst of 5) without and with the bytes; judges nothing.

import {
  cooperativeStickyAssignor,
  rangeAssignor,
  roundRobinAssignor,
  runAssignor,
  stickyAssignor,
} from '@muster/assignors';
import { encodeStickyUserData, encodeSubscription } from '@muster/protocol';

const RUNS = 5;
const topicName = (number) => `topic-${String(number).padStart(4, '0')}`;
const memberName = (number) => `member-${String(number).padStart(5, '0')}`;

/** topicsOf(member) lists topic numbers; `previous` is an assignment to feed back, as of generation 1. */
function membersOf(memberCount, topicsOf, previous) {
  return Array.from({ length: memberCount }, (_, number) => {
    const memberId = memberName(number);
    const owned = previous?.get(memberId) ?? [];
    const generation = previous?.has(memberId) ? 1 : -1;
    const userData = generation < 0 ? null : encodeStickyUserData({ partitions: owned, generation });
    const topics = topicsOf(number).map(topicName);
    const subscription = { topics, userData, ownedPartitions: owned, generation, rackId: null };
    return { memberId, groupInstanceId: null, subscription, metadata: encodeSubscription(subscription) };
  });
}

function time(work) {
  const millis = Array.from({ length: RUNS }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return `${Math.min(...millis).toFixed(0)}-${Math.max(...millis).toFixed(0)} ms`;
}

function report(title, assignor, counts, members) {
  const plain = time(() => assignor.assign(counts, members));
  const withBytes = time(() => runAssignor(assignor, members, counts));
  console.log(`${assignor.name.padEnd(19)} ${title.padEnd(58)} assign ${plain.padEnd(14)} with bytes ${withBytes}`);
}

const shapes = [
  ['10,000 partitions of 10 topics, 1,000 members, identical', 10, 1000, () => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  [
    '10,000 partitions of 10 topics, 1,000 members, different',
    10,
    1000,
    (m) => [m % 10, (m * 3 + 1) % 10, (m * 7 + 5) % 10],
  ],
  ['10,000 partitions of 1 topic, 1,000 members, one differs', 1, 10_000, (m) => (m === 0 ? [0, 1] : [0])],
  ['10,000 partitions of 1,000 topics, chain of 1,000 members', 1000, 10, (m) => [m, (m + 1) % 1000]],
];

for (const [title, topicCount, partitionsPerTopic, topicsOf] of shapes) {
  const counts = new Map(Array.from({ length: topicCount }, (_, t) => [topicName(t), partitionsPerTopic]));
  const fresh = membersOf(1000, topicsOf);
  for (const assignor of [rangeAssignor, roundRobinAssignor]) report(`${title}`, assignor, counts, fresh);
  for (const assignor of [stickyAssignor, cooperativeStickyAssignor]) {
    report(`${title}: fresh`, assignor, counts, fresh);
    const of900 = assignor.assign(counts, fresh.slice(0, 900));
    report(`${title}: 100 join 900`, assignor, counts, membersOf(1000, topicsOf, of900));
    const of1000 = assignor.assign(counts, fresh);
    report(`${title}: 100 of 1,000 leave`, assignor, counts, membersOf(1000, topicsOf, of1000).slice(100));
    const one = new Map([
      [memberName(0), [...of1000.values()].flat().filter(({ topic }) => topicsOf(0).map(topicName).includes(topic))],
    ]);
    report(`${title}: all owned by one`, assignor, counts, membersOf(1000, topicsOf, one));
  }
}
// The slowest case of the improvement loop: everything starts at one end of a chain and has to travel.
const chain = new Map(Array.from({ length: 1000 }, (_, t) => [topicName(t), t === 0 ? 9001 : 1]));
report(
  'chain, 9,001 of 10,000 partitions at one end: fresh',
  stickyAssignor,
  chain,
  membersOf(1000, (m) => [m, (m + 1) % 1000]),
);
