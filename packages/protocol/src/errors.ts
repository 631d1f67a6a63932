/**
 * The error catalogue: Kafka's names, codes and retriability, with a message for people.
 *
 * A refusal travels as its code; the catalogue turns codes into names and back. It does not decide which error a rule
 * answers. Source: classic-protocol.md section 11, Kafka's Errors.
 */

type CatalogueEntry = { readonly code: number; readonly retriable: boolean; readonly message: string };

export const errorCatalogue = {
  UNKNOWN_SERVER_ERROR: { code: -1, retriable: false, message: 'the coordinator failed while handling the request' },
  NONE: { code: 0, retriable: false, message: 'no error' },
  CORRUPT_MESSAGE: { code: 2, retriable: true, message: 'the message is damaged' },
  UNKNOWN_TOPIC_OR_PARTITION: { code: 3, retriable: true, message: 'the topic or partition does not exist' },
  INVALID_FETCH_SIZE: { code: 4, retriable: false, message: 'the requested size is invalid' },
  NOT_LEADER_OR_FOLLOWER: { code: 6, retriable: true, message: 'this replica does not lead the partition' },
  REQUEST_TIMED_OUT: { code: 7, retriable: true, message: 'the request timed out' },
  MESSAGE_TOO_LARGE: { code: 10, retriable: false, message: 'the message is larger than the store accepts' },
  OFFSET_METADATA_TOO_LARGE: { code: 12, retriable: false, message: 'the metadata of the commit is too long' },
  NETWORK_EXCEPTION: { code: 13, retriable: true, message: 'the connection was lost before an answer came' },
  COORDINATOR_LOAD_IN_PROGRESS: { code: 14, retriable: true, message: 'the coordinator is loading this group' },
  COORDINATOR_NOT_AVAILABLE: { code: 15, retriable: true, message: 'no coordinator can serve the group right now' },
  NOT_COORDINATOR: { code: 16, retriable: true, message: 'this node does not coordinate the group' },
  RECORD_LIST_TOO_LARGE: { code: 18, retriable: false, message: 'the records are larger than a frame may be' },
  NOT_ENOUGH_REPLICAS: { code: 19, retriable: true, message: 'the store has too few replicas' },
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: { code: 20, retriable: true, message: 'written to fewer replicas than required' },
  ILLEGAL_GENERATION: { code: 22, retriable: false, message: 'the generation is not the current one' },
  INCONSISTENT_GROUP_PROTOCOL: {
    code: 23,
    retriable: false,
    message: 'the protocol type or the protocols do not fit those of the other members',
  },
  INVALID_GROUP_ID: { code: 24, retriable: false, message: 'the group id is not allowed here' },
  UNKNOWN_MEMBER_ID: { code: 25, retriable: false, message: 'the group has no such member' },
  INVALID_SESSION_TIMEOUT: { code: 26, retriable: false, message: 'the session timeout is outside the allowed range' },
  REBALANCE_IN_PROGRESS: { code: 27, retriable: false, message: 'the group is rebalancing: join again' },
  INVALID_COMMIT_OFFSET_SIZE: { code: 28, retriable: false, message: 'the commit is larger than the store accepts' },
  TOPIC_AUTHORIZATION_FAILED: { code: 29, retriable: false, message: 'not allowed on this topic' },
  GROUP_AUTHORIZATION_FAILED: { code: 30, retriable: false, message: 'not allowed on this group' },
  UNSUPPORTED_VERSION: { code: 35, retriable: false, message: 'this version of the request is not supported' },
  INVALID_REQUEST: { code: 42, retriable: false, message: 'the request is malformed' },
  INVALID_PRODUCER_EPOCH: { code: 47, retriable: false, message: 'a newer producer has taken over' },
  INVALID_TXN_STATE: { code: 48, retriable: false, message: 'the staged commit is not in a state that allows this' },
  INVALID_PRODUCER_ID_MAPPING: { code: 49, retriable: false, message: 'the producer id is not known' },
  KAFKA_STORAGE_ERROR: { code: 56, retriable: true, message: 'the store failed' },
  NON_EMPTY_GROUP: { code: 68, retriable: false, message: 'the group has members' },
  GROUP_ID_NOT_FOUND: { code: 69, retriable: false, message: 'the group does not exist' },
  MEMBER_ID_REQUIRED: { code: 79, retriable: false, message: 'join again with the member id of this reply' },
  GROUP_MAX_SIZE_REACHED: { code: 81, retriable: false, message: 'the group has as many members as allowed' },
  FENCED_INSTANCE_ID: { code: 82, retriable: false, message: 'another member has taken over this instance id' },
  GROUP_SUBSCRIBED_TO_TOPIC: { code: 86, retriable: false, message: 'the group is subscribed to the topic' },
  UNSTABLE_OFFSET_COMMIT: { code: 88, retriable: true, message: 'an offset of the partition is still staged' },
  THROTTLING_QUOTA_EXCEEDED: { code: 89, retriable: true, message: 'too many requests are waiting: try again later' },
} as const satisfies Record<string, CatalogueEntry>;

/** Kafka's name of an error, such as `ILLEGAL_GENERATION`. */
export type ErrorName = keyof typeof errorCatalogue;

const nameByCode = new Map<number, ErrorName>();
for (const name of Object.keys(errorCatalogue).filter(isErrorName)) nameByCode.set(errorCatalogue[name].code, name);

/** @returns whether the text is a name of the catalogue */
export function isErrorName(text: string): text is ErrorName {
  return Object.hasOwn(errorCatalogue, text);
}

/** @returns Kafka's code of the error */
export function errorCode(name: ErrorName): number {
  return errorCatalogue[name].code;
}

/** @returns the name of a code, `UNKNOWN_SERVER_ERROR` for a code that the catalogue lacks */
export function errorName(code: number): ErrorName {
  return nameByCode.get(code) ?? 'UNKNOWN_SERVER_ERROR';
}

/** @returns whether the same request may be sent again after this error */
export function isRetriable(name: ErrorName): boolean {
  return errorCatalogue[name].retriable;
}
