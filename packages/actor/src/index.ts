export { Mailbox, type MailboxLimits } from './mailbox.js';
export { ReplyGate } from './reply-gate.js';
export { type TimerOf, TimerTable } from './timer-table.js';
export { type TimerHandle, TimerWheel, type TimerWheelOptions } from './timer-wheel.js';
export { type Runnable, TurnLoop, type TurnLoopOptions } from './turn-loop.js';
