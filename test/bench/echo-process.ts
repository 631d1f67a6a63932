/**
 * The peer of the benchmarks: answers every request with the same given bytes, and does nothing else.
 */

import { connect } from 'nats';

const [server = '', subject = '', replyBase64 = ''] = process.argv.slice(2);
const reply = Buffer.from(replyBase64, 'base64');
const connection = await connect({ servers: server });
connection.subscribe(subject, { callback: (_error, message) => void message.respond(reply) });
await connection.flush();
process.send?.('ready');
process.once('disconnect', () => void connection.close());
