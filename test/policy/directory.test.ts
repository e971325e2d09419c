import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { loadBundle } from '../../src/policy/index.ts'
import { scratch } from '../support/scratch.ts'
import { OPTIONS, sampleFiles } from './sample.ts'

/** A policy directory of the sample, and what is done to it besides. */
async function findings(change: (dir: string) => void): Promise<string[]> {
  const dir = path.join(scratch('policies'), 'policies')
  fs.mkdirSync(dir)
  for (const [name, text] of Object.entries(sampleFiles()))
    fs.writeFileSync(path.join(dir, name), text)
  change(dir)
  const result = await loadBundle(dir, OPTIONS)
  return result.ok ? [] : result.diagnostics.map((one) => `${one.file} ${one.code}`)
}

describe('A policy directory', () => {
  it('names a link that leads nowhere, or to itself', async () => {
    expect(
      await findings((dir) => fs.symlinkSync('nowhere.yaml', path.join(dir, 'more.yaml'))),
    ).to.deep.equal(['more.yaml dangling_link'])
    expect(
      await findings((dir) => fs.symlinkSync('loop.rego', path.join(dir, 'loop.rego'))),
    ).to.deep.equal(['loop.rego dangling_link'])
  })

  it('refuses a link that leads out of it, to a file or to a directory', async () => {
    const outside = scratch('outside')
    fs.writeFileSync(path.join(outside, 'a.rego'), 'package agent\n')
    expect(
      await findings((dir) => {
        fs.symlinkSync(path.join(outside, 'a.rego'), path.join(dir, 'a.rego'))
        fs.symlinkSync(outside, path.join(dir, 'data'))
        fs.symlinkSync('/etc/hostname', path.join(dir, 'b.yaml'))
      }),
    ).to.deep.equal(['a.rego link_outside', 'b.yaml link_outside', 'data link_outside'])
  })

  it('follows links that stay inside', async () => {
    expect(
      await findings((dir) => {
        fs.mkdirSync(path.join(dir, 'lists'))
        fs.writeFileSync(path.join(dir, 'lists', 'a.json'), '[]')
        fs.symlinkSync('lists', path.join(dir, 'data'))
      }),
    ).to.deep.equal([])
  })

  it('refuses a pipe, and a directory that is named like a file, rather than pass them over', async () => {
    expect(
      await findings((dir) => {
        execFileSync('mkfifo', [path.join(dir, 'pipe.rego')])
        fs.mkdirSync(path.join(dir, 'agent.rego'))
        fs.symlinkSync('pipe.rego', path.join(dir, 'link.rego'))
      }),
    ).to.deep.equal(['agent.rego not_a_file', 'link.rego not_a_file', 'pipe.rego not_a_file'])
  })

  it('refuses files that lie too deep to be read', async () => {
    const deep = Array.from({ length: 10 }, (_, n) => `d${n}`).join('/')
    const found = await findings((dir) => fs.mkdirSync(path.join(dir, deep), { recursive: true }))
    expect(found).to.deep.equal(['d0/d1/d2/d3/d4/d5/d6/d7/d8 too_deep'])
  })
})
