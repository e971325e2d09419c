import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { compile, plan } from '../../src/rego/compile.ts'
import { printPolicy } from '../../src/rego/ir/print.ts'
import { ownFunctions } from './wasm-text.ts'

// What small programs become, as IR and as WebAssembly. `REGO_REWRITE=1` writes the files anew; the diff is what a change
// of the planner or of code generation did, and is read before it is committed.
const FOLDER = path.join(import.meta.dirname, 'golden')
const isRewriting = process.env['REGO_REWRITE'] === '1'

describe('rego: golden files', () => {
  for (const file of fs.readdirSync(FOLDER).filter((name) => name.endsWith('.rego'))) {
    const name = path.basename(file, '.rego')
    const source = fs.readFileSync(path.join(FOLDER, file), 'utf8')
    const options = { modules: { [file]: source }, entrypoints: ['p/r'] }

    it(`plans as before: ${name}`, () => {
      const planned = plan(options)
      if (!planned.ok) throw new Error(JSON.stringify(planned.diagnostics))
      compare(`${name}.ir`, printPolicy(planned.policy))
    })

    it(`is machine code as before: ${name}`, () => {
      const compiled = compile(options)
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.diagnostics))
      compare(`${name}.wasm.txt`, `${ownFunctions(compiled.wasm)}\n`)
    })
  }
})

function compare(name: string, text: string): void {
  const at = path.join(FOLDER, name)
  if (isRewriting) fs.writeFileSync(at, text)
  expect(text).to.equal(fs.readFileSync(at, 'utf8'))
}
