import { setFlagsFromString } from 'node:v8'

/**
 * For commands that read everything once and end. V8 makes machine code of whatever runs a few thousand times, and on
 * a large folder of policies spends more on that than the commands take without it: half of all CPU time. So it has to
 * run thirty times as often first; loops that are really long still get there.
 */
export function shortRun(): void {
  // The V8 of Node 22 and later has no such flag, and says so on standard error.
  if (process.versions.v8.startsWith('11.')) setFlagsFromString('--interrupt-budget=2000000')
}
