import { busContract } from './bus.js';
import { memoryBusWorld } from './memory-world.js';

busContract('memory', () => memoryBusWorld());
busContract('memory with 3 ms between connections', () => memoryBusWorld(3));
