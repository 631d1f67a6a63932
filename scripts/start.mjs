/**
 * `npm start`: builds what is not built yet, then runs the demonstration. Ctrl-C reaches the demonstration, which ends it all.
 */

import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

// Standard output belongs to the demonstration (its last line may be JSON), so the build speaks on standard error.
const build = spawnSync('npm', ['run', 'build', '--silent'], { cwd: root, stdio: ['ignore', 2, 2] });
if (build.status !== 0) process.exit(build.status ?? 1);

const entry = fileURLToPath(new URL('../packages/cli/dist/main.js', import.meta.url));
const demo = spawn(process.execPath, [entry, 'demo', ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => demo.kill(signal));
demo.on('exit', (code) => process.exit(code ?? 1));
