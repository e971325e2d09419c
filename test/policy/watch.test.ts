import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { DirectoryWatch } from '../../src/policy/watch.ts'
import { scratch } from '../support/scratch.ts'
import { until } from '../support/gate.ts'

describe('DirectoryWatch', () => {
  it('that is stopped before it is ready has started no more', async () => {
    const watch = new DirectoryWatch(scratch('watch'), () => {})
    const started = watch.start()
    await watch.stop()
    await started
  })

  it('tells of a link that was repointed and back again before anybody looked', async () => {
    const root = scratch('watch')
    for (const version of ['v1', 'v2']) {
      fs.mkdirSync(path.join(root, version))
      fs.writeFileSync(path.join(root, version, 'gate.yaml'), version)
    }
    const link = path.join(root, 'policies')
    fs.symlinkSync('v1', link)
    const point = (version: string) => {
      fs.symlinkSync(version, `${link}.new`)
      fs.renameSync(`${link}.new`, link)
    }
    let calls = 0
    const watch = new DirectoryWatch(link, () => calls++)
    await watch.start()
    try {
      // A reader may have seen the other version in between, whatever made it look.
      for (let round = 0; round < 5; round++) {
        const before = calls
        point('v2')
        point('v1')
        await until('somebody is told', () => calls > before)
      }
      expect(fs.readFileSync(path.join(link, 'gate.yaml'), 'utf8')).to.equal('v1')
    } finally {
      await watch.stop()
    }
  })
})
