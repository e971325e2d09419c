import { readFileSync } from 'node:fs'
import { ABI_EXPORTS } from '../abi.ts'
import { type Parts, readModule } from '../wasm/module.ts'

export interface Machine extends Parts {
  /** Function index by exported name. */
  readonly functionIndex: ReadonlyMap<string, number>
  /** Global index by exported name. */
  readonly globalIndex: ReadonlyMap<string, number>
  /** Function index -> indices of the functions that it calls. */
  readonly calls: readonly (readonly number[])[]
  readonly dataEnd: number
}

let cached: Machine | undefined

/** The machine, read once a process. */
export function machine(): Machine {
  if (cached) return cached
  const bytes = readFileSync(new URL('../machine/machine.wasm', import.meta.url))
  const parts = readModule(bytes)
  const meta = JSON.parse(new TextDecoder().decode(parts.custom.get('machine'))) as {
    dataEnd: number
    calls: number[][]
  }
  const functionIndex = new Map<string, number>()
  const globalIndex = new Map<string, number>()
  for (const { name, kind, index } of parts.exports) {
    if (kind === 0) functionIndex.set(name, index)
    else if (kind === 3) globalIndex.set(name, index)
  }
  for (const name of ABI_EXPORTS)
    if (!functionIndex.has(name)) throw new Error(`machine lacks ${name}`)
  cached = { ...parts, functionIndex, globalIndex, calls: meta.calls, dataEnd: meta.dataEnd }
  return cached
}

/** The machine function of a builtin, or undefined when the host has it. */
export function machineBuiltin(name: string): number | undefined {
  return machine().functionIndex.get(machineName(name))
}

export function machineName(builtin: string): string {
  return `b_${builtin.replaceAll('.', '_')}`
}
