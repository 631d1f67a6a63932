import { leaseStoreContract } from './lease-store.js';
import { memoryLeaseWorld } from './memory-world.js';

leaseStoreContract('memory', memoryLeaseWorld);
