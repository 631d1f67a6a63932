/**
 * The peer of the benchmarks: answers every request with a body of the size that is asked for, and does nothing else.
 */

import { connect } from 'nats';

const [server = '', subject = '', replyBytes = '0'] = process.argv.slice(2);
const reply = new Uint8Array(Number(replyBytes));
const connection = await connect({ servers: server });
connection.subscribe(subject, { callback: (_error, message) => void message.respond(reply) });
await connection.flush();
process.send?.('ready');
process.once('disconnect', () => void connection.close());
