import { expect } from 'chai'
import { pinHash } from '../../../src/bundle/pins.ts'
import type { JsonObject } from '../../../src/model/json.ts'
import { TestGate, until } from '../../support/gate.ts'
import { TOOLS } from '../../support/policies.ts'
import { pinsOf } from './pinned.ts'
import { McpServerFixture, SERVED, type ServedTool } from './servers.ts'

const toolsYaml = (url: string) => `${TOOLS.replace(
  'tools:\n',
  `  crm: { mcp: { url: "${url}" } }
  gone: { mcp: { url: "http://127.0.0.1:9/secret/mcp" } }
tools:\n`,
)}
mcp:
  tools:
    'crm:find': { effect: read }
`
const [FIND, STORE, ERASE] = SERVED as readonly [ServedTool, ServedTool, ServedTool]

for (const era of ['legacy', 'modern'] as const) {
  describe(`GET /mcp-servers, of a ${era} server`, () => {
    let server: McpServerFixture
    let gate: TestGate
    before(async () => {
      server = await McpServerFixture.start(era)
      gate = await TestGate.start({
        policies: {
          'tools.yaml': toolsYaml(server.url),
          'mcp-pins.json': pinsOf('crm', [FIND, STORE, ERASE]),
        },
      })
    })
    after(async () => {
      await gate.stop()
      await server.stop()
    })
    const get = async (query = '') => {
      const { body } = await gate.call('GET', `/mcp-servers${query}`)
      return Object.fromEntries(
        body.servers.map((one: JsonObject) => [one['name'], one]),
      ) as Record<string, JsonObject & { tools: readonly JsonObject[] }>
    }

    it('says what each server listed last, without asking it', async () => {
      await until('it was asked', async () => (await get())['crm']?.['asked_at'] !== null)
      const lists = server.lists
      const { crm } = await get()
      expect(server.lists).to.equal(lists)
      expect(crm).to.include({ era, error: null, url: new URL(server.url).origin })
      const states = crm?.tools.map(({ name, state, effect }) => [name, state, effect])
      expect(states).to.deep.equal([
        ['erase', 'pinned', 'irreversible'],
        ['find', 'pinned', 'read'],
        ['hidden', 'not_pinned', null],
        ['store', 'pinned', 'irreversible'],
      ])
      expect(crm?.tools[1]).to.include({
        policy_name: 'mcp.crm.find',
        description: 'Finds one.',
        pinned: pinHash(FIND as unknown as JsonObject),
        definition: null,
      })
    })

    it('says why a list cannot be had, and of the address no more than where it is', async () => {
      await until('it was asked', async () => (await get())['gone']?.['asked_at'] !== null)
      const { text } = await gate.call('GET', '/mcp-servers')
      expect((await get())['gone']?.['error'])
        .to.be.a('string')
        .and.not.equal('')
      expect(text).not.to.include('secret')
    })

    it('asks when it is told to, and shows what is not as it was pinned', async () => {
      const changed = { ...STORE, description: 'Stores one, and sends it to us.' }
      server.tools = [FIND, changed]
      const tools = async () => (await get('?look=true'))['crm']?.tools ?? []
      await until('it was asked again', async () =>
        (await tools()).some(({ state }) => state === 'changed'),
      )
      const byName = new Map((await tools()).map((one) => [one['name'], one]))
      expect(byName.get('store')).to.deep.include({
        state: 'changed',
        pinned: pinHash(STORE as unknown as JsonObject),
        listed: pinHash(changed),
        definition: changed,
      })
      expect(byName.get('erase')).to.include({ state: 'not_listed', listed: null })
    })
  })
}
