import type { JsonObject } from '../../model/json.ts'
import type { ImportFinding } from './findings.ts'

/** One operation as a tool. */
export interface ImportedTool {
  readonly name: string
  readonly tool: JsonObject
  /** `GET /contacts`, as the document has it. */
  readonly origin: string
  /** From what its effect is guessed. */
  readonly because: string
}

export interface Imported {
  readonly upstreams: ReadonlyMap<string, JsonObject>
  readonly tools: readonly ImportedTool[]
  readonly findings: readonly ImportFinding[]
  /** How many operations were asked for. */
  readonly operations: number
  /** All that the document has, asked for or not: `GET /contacts`. */
  readonly origins: ReadonlySet<string>
}
