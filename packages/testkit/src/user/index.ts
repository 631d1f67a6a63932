/** Muster in memory, for users' unit tests of their handlers. */

export { MemoryStreamServer, MemoryStreams, type StoredMessage } from './memory-streams.js';
export { MemoryTransport } from './memory-transport.js';
export { createTestMuster, type TestMessage, TestMuster, type TestMusterOptions } from './test-muster.js';
