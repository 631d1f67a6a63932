// @ts-check
/**
 * A process of its own that starts the servers of one handle and outlives its parent by exactly as long as it takes to
 * end them. Plain JavaScript beside `src` and `dist`, so that both find it at the same relative path.
 *
 * Does not decide anything about servers: it runs what it is told to and reports.
 *
 * S1: no server outlives the parent. Standard input is the lifeline: only the parent holds its other end, so it closes
 *     when the parent goes, whatever it goes of (kill -9 included). Nothing is polled.
 * S2: the temporary folder is made here and removed here, after the last server has ended.
 * S3: a signal goes only to a child that has not been reaped: a process id that was used again is never hit.
 *
 * Arguments: the prefix of the temporary folder; how long servers get after SIGTERM when the parent is gone, in ms
 * (0: SIGKILL at once, for servers whose store is removed anyway).
 * Lines in (JSON): spawn {id, name, file, args, log}, signal {id, name, signal}, end {id, graceMs}.
 * Lines out: ready {root}, done {id, ...}, refused {id, reason}, exited {name, pid, code, signal}.
 */

import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [prefix = '', orphanGraceText = '0'] = process.argv.slice(2);
const orphanGraceMs = Number(orphanGraceText);

/** @type {Map<string, import('node:child_process').ChildProcess>} */
const running = new Map();
/** @type {((flushed: () => void) => void) | undefined} */
let whenEmpty;

const root = mkdtempSync(prefix);

/** @param {object} event @param {() => void} [flushed] */
function send(event, flushed) {
  process.stdout.write(`${JSON.stringify(event)}\n`, () => flushed?.());
}

/** @param {{ id: number, name: string, file: string, args: string[], log: string }} command */
function spawnServer(command) {
  if (whenEmpty !== undefined) return send({ kind: 'refused', id: command.id, reason: 'the supervisor is ending' });
  if (running.has(command.name)) {
    return send({ kind: 'refused', id: command.id, reason: `${command.name} is running already` });
  }
  const log = openSync(command.log, 'a');
  const child = spawn(command.file, command.args, { stdio: ['ignore', log, log], cwd: root });
  closeSync(log);
  child.once('error', (error) => {
    if (child.pid === undefined) send({ kind: 'refused', id: command.id, reason: error.message });
  });
  if (child.pid === undefined) return;
  running.set(command.name, child);
  child.once('exit', (code, signal) => {
    running.delete(command.name);
    send({ kind: 'exited', name: command.name, pid: child.pid, code, signal });
    finishIfEmpty();
  });
  send({ kind: 'done', id: command.id, pid: child.pid });
}

/** @param {NodeJS.Signals} signal */
function signalAll(signal) {
  for (const child of running.values()) child.kill(signal);
}

/** @param {number} graceMs @param {(flushed: () => void) => void} [report] */
function end(graceMs, report) {
  if (whenEmpty !== undefined) return;
  whenEmpty = report ?? ((flushed) => flushed());
  if (graceMs > 0) {
    signalAll('SIGTERM');
    // A paused server cannot act on SIGTERM. (SIGKILL needs no help.)
    signalAll('SIGCONT');
    setTimeout(() => signalAll('SIGKILL'), graceMs);
  } else {
    signalAll('SIGKILL');
  }
  finishIfEmpty();
}

function finishIfEmpty() {
  if (whenEmpty === undefined || running.size > 0) return;
  rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  whenEmpty(() => process.exit(0));
}

/** @param {string} line */
function obey(line) {
  const command = JSON.parse(line);
  switch (command.kind) {
    case 'spawn':
      return spawnServer(command);
    case 'signal':
      return send({
        kind: 'done',
        id: command.id,
        delivered: running.get(command.name)?.kill(command.signal) ?? false,
      });
    case 'end':
      return end(command.graceMs, (flushed) => send({ kind: 'done', id: command.id }, flushed));
    default:
      return send({ kind: 'refused', id: command.id, reason: `unknown command ${command.kind}` });
  }
}

const orphaned = () => end(orphanGraceMs);
// The parent may be gone while something is still reported to it.
process.stdout.on('error', orphaned);
process.stdin.on('error', orphaned);
for (const signal of /** @type {NodeJS.Signals[]} */ (['SIGTERM', 'SIGINT', 'SIGHUP'])) process.on(signal, orphaned);
process.on('uncaughtException', (error) => {
  process.stderr.write(`nats-server supervisor: ${error.stack}\n`);
  signalAll('SIGKILL');
  rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  process.exit(1);
});

const lines = createInterface({ input: process.stdin });
lines.on('line', obey);
lines.on('close', orphaned);
send({ kind: 'ready', root });
