/**
 * Branded identifiers, numbers and times of the whole system.
 *
 * Each brand has one type guard and one constructor; a cast to a brand exists nowhere else. Times never mix: a monotonic
 * time orders and measures within one process, a wall time is what people and other processes read.
 */

import { utf8Length } from './utf8.js';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Name of a consumer group: any text of at most 255 bytes of UTF-8. The empty text is legal for a few APIs only. */
export type GroupId = Brand<string, 'GroupId'>;
/** Id of one incarnation of a member, handed out by the coordinator; opaque to clients. */
export type MemberId = Brand<string, 'MemberId'>;
/** `group.instance.id`: the lasting name of a static member. */
export type InstanceId = Brand<string, 'InstanceId'>;
/** Number of a rebalance of a group; only grows, durable before anybody hears of it. */
export type Generation = Brand<number, 'Generation'>;
/** Number of a coordinator partition, from 0. */
export type Partition = Brand<number, 'Partition'>;
/** Number of the reign over a coordinator partition; only grows. */
export type Epoch = Brand<number, 'Epoch'>;
/** Name of a coordinator node, fit for a subject token. */
export type NodeId = Brand<string, 'NodeId'>;
/** Random id of one process of a node: a restarted node is another incarnation (rule O1). */
export type Incarnation = Brand<string, 'Incarnation'>;
/** Identity of the set of partition logs (rule O2); epochs are comparable only within one log id. */
export type LogId = Brand<string, 'LogId'>;
/** Id a client gives a request; the same request sent again keeps it (rule C1). */
export type RequestId = Brand<string, 'RequestId'>;
/** Milliseconds of a monotonic clock of this process. */
export type MonotonicMs = Brand<number, 'MonotonicMs'>;
/** Milliseconds since 1970 by the wall clock. */
export type WallMs = Brand<number, 'WallMs'>;

/** Longest group id, in bytes of UTF-8 (at most 765 bytes once encoded into a subject). */
export const GROUP_ID_BYTES_MAX = 255;
/** Longest member id, instance id and request id, in UTF-16 units. */
export const NAME_LENGTH_MAX = 512;

const subjectToken = /^[A-Za-z0-9_-]{1,64}$/;

/** @returns whether the value can be a group id */
export function isGroupId(value: unknown): value is GroupId {
  return typeof value === 'string' && value.length <= GROUP_ID_BYTES_MAX && utf8Length(value) <= GROUP_ID_BYTES_MAX;
}
/** @returns whether the value can be a member id; the empty text stands for "none yet" */
export function isMemberId(value: unknown): value is MemberId {
  return isBoundedText(value);
}
/** @returns whether the value can be an instance id */
export function isInstanceId(value: unknown): value is InstanceId {
  return isBoundedText(value);
}
/** @returns whether the value can be a request id */
export function isRequestId(value: unknown): value is RequestId {
  return isBoundedText(value) && value.length > 0;
}
/** @returns whether the value can be a generation; -1 stands for "none" */
export function isGeneration(value: unknown): value is Generation {
  return isIntegerFrom(value, -1);
}
/** @returns whether the value can be a coordinator partition */
export function isPartition(value: unknown): value is Partition {
  return isIntegerFrom(value, 0);
}
/** @returns whether the value can be an epoch; 0 stands for "never owned" */
export function isEpoch(value: unknown): value is Epoch {
  return isIntegerFrom(value, 0);
}
/** @returns whether the value can be a node id */
export function isNodeId(value: unknown): value is NodeId {
  return typeof value === 'string' && subjectToken.test(value);
}
/** @returns whether the value can be an incarnation */
export function isIncarnation(value: unknown): value is Incarnation {
  return typeof value === 'string' && subjectToken.test(value);
}
/** @returns whether the value can be a log id */
export function isLogId(value: unknown): value is LogId {
  return typeof value === 'string' && subjectToken.test(value);
}
function isFiniteMonotonic(value: unknown): value is MonotonicMs {
  return typeof value === 'number' && !Number.isNaN(value);
}
function isFiniteWall(value: unknown): value is WallMs {
  return typeof value === 'number' && !Number.isNaN(value);
}

function isBoundedText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= NAME_LENGTH_MAX;
}
function isIntegerFrom(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
}

function constructorOf<In, Out extends In>(what: string, allowed: string, guard: (value: unknown) => value is Out) {
  return (value: In): Out => {
    if (!guard(value)) throw new RangeError(`${JSON.stringify(value)} is no ${what}: ${allowed}`);
    return value;
  };
}

/** Each constructor returns its argument with the brand, or throws a RangeError that says what is allowed. */
export const groupId = constructorOf<string, GroupId>('group id', 'text of at most 255 bytes of UTF-8', isGroupId);
export const memberId = constructorOf<string, MemberId>('member id', 'text of at most 512 characters', isMemberId);
export const instanceId = constructorOf<string, InstanceId>('instance id', 'at most 512 characters', isInstanceId);
export const requestId = constructorOf<string, RequestId>('request id', '1 to 512 characters', isRequestId);
export const generation = constructorOf<number, Generation>('generation', 'an integer from -1', isGeneration);
export const partition = constructorOf<number, Partition>('partition', 'an integer from 0', isPartition);
export const epoch = constructorOf<number, Epoch>('epoch', 'an integer from 0', isEpoch);
export const nodeId = constructorOf<string, NodeId>('node id', '1 to 64 of A-Z a-z 0-9 _ -', isNodeId);
export const incarnation = constructorOf<string, Incarnation>(
  'incarnation',
  '1 to 64 of A-Z a-z 0-9 _ -',
  isIncarnation,
);
export const logId = constructorOf<string, LogId>('log id', '1 to 64 of A-Z a-z 0-9 _ -', isLogId);
export const monotonicMs = constructorOf<number, MonotonicMs>('monotonic time', 'milliseconds', isFiniteMonotonic);
export const wallMs = constructorOf<number, WallMs>('wall time', 'milliseconds since 1970', isFiniteWall);

/** Ends an exhaustive switch: a new kind breaks the build here until it is handled. */
export function assertNever(value: never): never {
  throw new Error(`unhandled kind: ${JSON.stringify(value)}`);
}
