import fs from 'node:fs'

// CPU time of processes as Linux counts it, to the nanosecond: what a request costs does not depend on what
// else the machine does, as its throughput does.

/** Microseconds that a process and its threads have been on a CPU. */
export function cpuUs(pid: number): number {
  let ns = 0n
  for (const task of entries(`/proc/${pid}/task`)) {
    ns += BigInt(text(`/proc/${pid}/task/${task}/schedstat`).split(' ', 1)[0] || '0')
  }
  return Number(ns / 1000n)
}

/** The same for a process and all it has started that still runs: a database server. */
export function treeCpuUs(pid: number): number {
  const children = entries(`/proc/${pid}/task`).flatMap((task) =>
    text(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
  )
  return cpuUs(pid) + children.reduce((sum, child) => sum + treeCpuUs(child), 0)
}

function entries(dir: string): string[] {
  try {
    return fs.readdirSync(dir)
  } catch {
    return [] // it has ended
  }
}

function text(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8').trim()
  } catch {
    return ''
  }
}
