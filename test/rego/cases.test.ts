import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { type Case, differs } from './opa-cases.ts'

// One file a family, each an array of cases with OPA's answers. A new case is a line there.
const FOLDER = path.join(import.meta.dirname, 'cases')

describe('rego: cases', () => {
  for (const file of readdirSync(FOLDER)) {
    it(`answers as OPA does on both hosts: ${path.basename(file, '.json')}`, function () {
      this.timeout(600_000)
      const cases = JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8')) as Case[]
      expect(cases.flatMap((one) => differs(one) ?? [])).to.deep.equal([])
    })
  }
})
