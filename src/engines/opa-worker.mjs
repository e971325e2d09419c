// Runs one module built by `opa build -t wasm` in a thread of its own, so that whatever it does can
// be stopped. Plain JavaScript: a worker thread does not go through the TypeScript loader.
import { createRequire } from 'node:module'
import path from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'

const require = createRequire(import.meta.url)
const SDK = '@open-policy-agent/opa-wasm'
const { loadPolicySync } = require(SDK)
const { memoryPagesMax } = workerData
const PAGE = 65_536

// Out of shared memory, which not everything reads.
const wasm = Buffer.from(workerData.wasm)
const data = JSON.parse(Buffer.from(workerData.data).toString('utf8'))

const compiled = new WebAssembly.Module(wasm)
let policy = instantiate()

function instantiate() {
  const fresh = loadPolicySync(compiled, { initial: 16, maximum: memoryPagesMax })
  fresh.setData(data)
  return fresh
}

function readText(address) {
  const bytes = new Uint8Array(policy.mem.buffer)
  const end = bytes.indexOf(0, address)
  return new TextDecoder().decode(bytes.subarray(address, end))
}

// The SDK finds out that a builtin is missing only when a rule calls it.
function missingBuiltins() {
  const { exports } = policy.wasmInstance
  const wanted = Object.keys(JSON.parse(readText(exports.opa_json_dump(exports.builtins()))))
  const known = require(path.join(path.dirname(require.resolve(SDK)), 'builtins', 'index.js'))
  return wanted.filter((name) => typeof known[name] !== 'function')
}

function evaluate({ entrypoints, input }) {
  try {
    const results = entrypoints.map((entrypoint) => policy.evaluate(input, entrypoint))
    // The SDK grows the memory with the input and never gives it back.
    if (policy.mem.buffer.byteLength > (memoryPagesMax / 2) * PAGE) policy = instantiate()
    return { ok: true, results }
  } catch (error) {
    policy = instantiate() // an instance that threw may be left in any state
    return { ok: false, message: describe(error) }
  }
}

// The SDK throws strings, plain objects and errors.
function describe(error) {
  if (typeof error === 'string') return error
  return String(error?.message ?? error)
}

parentPort.on('message', (request) => parentPort.postMessage(evaluate(request)))
parentPort.postMessage({ entrypoints: Object.keys(policy.entrypoints), missing: missingBuiltins() })
