import { expect } from 'chai'
import path from 'node:path'
import { compile } from '../../src/rego/index.ts'
import { readLines, requireData } from './data.ts'

interface Case {
  readonly id: string
  readonly modules: readonly { name: string; source: string }[]
  readonly strict: boolean
  readonly want: 'reject' | 'accept'
  readonly first?: readonly { code: string; row: number | null; file: string }[]
}

describe('rego: refusals', () => {
  it('agrees with OPA on what to refuse, and on code and row of the first error', function () {
    this.timeout(600_000)
    const data = requireData(this)
    const wrong: string[] = []
    for (const { id, modules, strict, want, first } of readLines<Case>(
      path.join(data, 'rejections/cases.jsonl'),
    )) {
      const sources = Object.fromEntries(modules.map(({ name, source }) => [name, source]))
      const result = compile({ modules: sources, entrypoints: [], strict })
      if (result.ok !== (want === 'accept')) wrong.push(id)
      else if (!result.ok) {
        const [error] = result.diagnostics
        const fits = first?.some(
          ({ code, row }) => code === error?.code && (row === null || row === error.location.row),
        )
        if (fits !== true) wrong.push(`${id} (place)`)
      }
    }
    expect(wrong).to.deep.equal([])
  })
})
