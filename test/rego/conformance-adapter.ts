// Adapter between this compiler and the runner of OPA's conformance data, which is not part of this repository.
import { createRequire } from 'node:module'
import path from 'node:path'
import { compile as compileRego } from '../../src/rego/index.ts'
import { hostFunctions } from '../../src/rego/host/functions.ts'

export const name = 'portcullis'
export const strictBuiltinErrors = true
export const wantsQuery = true

interface Request {
  readonly modules: readonly { source: string }[]
  readonly query: string
  readonly regoVersion: 'v0' | 'v1'
  readonly experimentalKeywords: boolean
  readonly strictBuiltinErrors: boolean
}

// A host has to bring the functions that a module imports. The runner's hosts use the npm SDK's table of builtins, so
// ours go there, under their own names.
const require = createRequire(import.meta.url)
const sdk = path.dirname(require.resolve('@open-policy-agent/opa-wasm'))
Object.assign(require(path.join(sdk, 'builtins', 'index.js')) as object, hostFunctions())

// Files are named as OPA's own runner names them, since some messages it wants name the file.
export async function compile(request: Request): Promise<{ wasm: Uint8Array }> {
  const result = compileRego({
    modules: Object.fromEntries(request.modules.map(({ source }, i) => [`test-${i}.rego`, source])),
    entrypoints: [],
    query: request.query,
    v0: request.regoVersion === 'v0',
    strictBuiltinErrors: request.strictBuiltinErrors,
    capabilities: {
      allow: [
        'http.send',
        'net.lookup_ip_addr',
        'opa.runtime',
        'rand.intn',
        'time.now_ns',
        'uuid.rfc4122',
      ],
      functions: { 'test.sleep': '(string) null' },
      experimental: request.experimentalKeywords,
    },
  })
  if (result.ok) return { wasm: result.wasm }
  const [first] = result.diagnostics
  throw new Error(
    first
      ? `${first.code}: ${first.message} (${first.location.row}:${first.location.col})`
      : 'refused',
  )
}
