#!/usr/bin/env node
// The command is in the build; this file exists before it, so that installing can link it.
await import('../dist/main.js');
