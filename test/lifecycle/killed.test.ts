import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { freePort, GateProcess } from '../support/gate-process.ts'
import { ADMIN, TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'

/** What is read of the answers. */
interface Said {
  readonly revision: string
  readonly publications: readonly { readonly revision: string }[]
  readonly files: readonly { readonly path: string; readonly content: string }[]
  readonly integrity: string
}

/** More of them: KILLS=50 npx mocha test/lifecycle/killed.test.ts */
const KILLS = Number(process.env['KILLS'] ?? 1)
/** A publish takes a few times as long; whenever the kill comes, what holds has to hold. */
const KILL_WITHIN_MS = 300

describe('a publish into the directory that ended while it was staged', () => {
  for (const [what, plan] of [
    ['its plan was not written', undefined],
    ['its plan was written in part', '{"revision":"ab'],
    ['its plan was made and not written', ''],
  ] as const) {
    it(`is dropped at the next start: ${what}`, async () => {
      const policyDir = path.join(scratch('staged'), 'policies')
      writePolicies(policyDir, {})
      const stage = path.join(policyDir, '.portcullis-publish')
      fs.mkdirSync(path.join(stage, 'files'), { recursive: true })
      fs.writeFileSync(path.join(stage, 'files', 'gate.yaml'), 'version: 1\n')
      if (plan !== undefined) fs.writeFileSync(path.join(stage, 'plan.json'), plan)
      const gate = await TestGate.start({ policyDir })
      expect(fs.existsSync(stage)).to.equal(false)
      expect(fs.readFileSync(path.join(policyDir, 'gate.yaml'), 'utf8')).to.equal(GATE)
      await gate.stop()
    })
  }
})

// Between the record and the swap there is nothing that a kill could tear: whatever the moment, the gate comes back with
// the policy that is on record, and its files are all there.
describe('killed while it publishes', function () {
  this.timeout(1_200_000)
  for (const source of ['directory', 'database'] as const) {
    it(`comes back with the policy that is on record, from the ${source}`, async () => {
      const root = scratch('killed')
      const dataDir = path.join(root, 'data')
      await prepareEmbedded(dataDir)
      writePolicies(path.join(root, 'policies'), {})
      const gate = new GateProcess(await freePort(), {
        DATA_DIR: dataDir,
        POLICY_DIR: path.join(root, 'policies'),
        POLICY_SOURCE: source,
        TICKETING_API_URL: 'http://127.0.0.1:1',
        LOG_FILE: path.join(root, 'app.log'),
      })
      const call = (method: string, route: string, body?: object, headers = {}) =>
        fetch(`${gate.url}${route}`, {
          method,
          headers: { 'x-api-key': ADMIN, 'content-type': 'application/json', ...headers },
          ...(body ? { body: JSON.stringify(body) } : {}),
        })
      const get = async (route: string) => (await call('GET', route)).json() as Promise<Said>
      await gate.start()
      let published = 0
      for (let round = 0; round < KILLS; round++) {
        const { revision: base } = await get('/policy')
        const files = {
          'gate.yaml': `${GATE}# round ${round}\n`,
          'tools.yaml': TOOLS,
          [`data/round_${round}.csv`]: 'id\nx\n',
        }
        const answer = call('PUT', '/policy/files', { files }, { 'if-match': base }).then(
          ({ status }) => status,
          () => 0,
        )
        await delay(Math.random() * KILL_WITHIN_MS)
        await gate.kill()
        const status = await answer
        await gate.start()
        const { revision } = await get('/policy')
        const { publications } = await get('/policy/revisions?limit=1')
        expect(publications[0]?.revision, `round ${round}`).to.equal(revision)
        const kept = await get('/policy/files')
        const text = kept.files.find((one) => one.path === 'gate.yaml')?.content
        expect(text?.endsWith(`# round ${round}\n`)).to.equal(revision !== base)
        // What was acknowledged is there.
        if (status === 200) expect(revision).to.not.equal(base)
        if (revision !== base) published++
      }
      const { integrity } = await get('/audit/verify')
      expect(integrity).to.equal('ok')
      console.log(`      ${published} of ${KILLS} were on record when the gate was killed`)
      await gate.kill()
    })
  }
})
