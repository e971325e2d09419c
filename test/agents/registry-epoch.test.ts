import { expect } from 'chai'
import { AgentCache } from '../../src/agents/registry.ts'
import { KeyUses } from '../../src/agents/key-uses.ts'
import { createLogger } from '../../src/lib/log.ts'
import { KeyRing } from '../../src/agents/keys.ts'
import { sha256 } from '../../src/lib/canonical.ts'
import { RegistryEpoch } from '../../src/store/registry-epoch.ts'
import type { Db } from '../../src/store/tx.ts'

const SECRET = 'A'.repeat(43)
const KEY = `pk_${'0'.repeat(26)}_${SECRET}`

/** A registry of one agent and its key, which counts how often it is asked. */
function setUp(expiresAt: Date | null = null) {
  const clock = { nowMs: 0, wallMs: 1_000_000 }
  const registry = new RegistryEpoch(
    () => clock.nowMs,
    () => clock.wallMs,
  )
  const state = { asked: 0, epoch: 5n, isRevoked: false }
  const db: Db = {
    async query<Row>(text: string) {
      state.asked++
      const { epoch } = state
      const agent = { id: 'agt_1', name: 'a', properties: '{}', roles: [], thresholds: [], epoch }
      const key = { id: 'key_1', role: 'agent', name: 'a', agentId: 'agt_1', epoch, expiresAt }
      const row = text.includes('api_keys') ? { ...key, secretHash: sha256(SECRET) } : agent
      return (state.isRevoked ? [] : [row]) as Row[]
    },
  }
  const pass = (ms: number) => {
    clock.nowMs += ms
    clock.wallMs += ms
  }
  const renew = () => registry.seen(state.epoch, clock)
  const agents = new AgentCache(db, registry)
  const keys = new KeyRing(db, registry, [], new KeyUses(db, createLogger('silent', null)))
  return { clock, registry, state, pass, renew, agents, keys }
}

describe('what is remembered of agents and keys', () => {
  it('is not looked up again while nothing changes and renewals say so', async () => {
    const { state, pass, renew, agents, keys } = setUp()
    for (let second = 0; second < 60; second++) {
      renew()
      expect((await agents.find('agt_1'))?.id).to.equal('agt_1')
      expect((await keys.authenticate(KEY))?.keyId).to.equal('key_1')
      pass(1_000)
    }
    expect(state.asked).to.equal(2)
  })

  it('is gone with the renewal that brings a change', async () => {
    const { state, pass, renew, agents, keys } = setUp()
    renew()
    await agents.find('agt_1')
    await keys.authenticate(KEY)
    Object.assign(state, { isRevoked: true, epoch: 6n })
    pass(901)
    renew()
    expect(await agents.find('agt_1')).to.equal(undefined)
    expect(await keys.authenticate(KEY)).to.equal(null)
  })

  it('is looked up where no renewal has come for a second', async () => {
    const { state, pass, renew, agents, keys } = setUp()
    renew()
    await agents.find('agt_1')
    await keys.authenticate(KEY)
    state.isRevoked = true
    pass(901)
    expect(await agents.find('agt_1')).to.equal(undefined)
    expect(await keys.authenticate(KEY)).to.equal(null)
  })

  it('is looked up after the machine was suspended, though its own clock stood still', async () => {
    const { clock, state, pass, renew, agents } = setUp()
    await agents.find('agt_1')
    pass(901)
    renew()
    state.isRevoked = true
    expect((await agents.find('agt_1'))?.id).to.equal('agt_1')
    clock.wallMs += 60_000
    expect(await agents.find('agt_1')).to.equal(undefined)
  })

  it('of a key that expires is looked up every second, because nothing changes when it does', async () => {
    const { state, pass, renew, keys } = setUp(new Date(2_000_000))
    renew()
    await keys.authenticate(KEY)
    state.isRevoked = true
    pass(901)
    renew()
    expect(await keys.authenticate(KEY)).to.equal(null)
  })

  it('was looked up before a change that is known by now, and so is not believed', async () => {
    const { registry, clock, pass } = setUp()
    registry.seen(6n, clock)
    const early = { askedAtMs: clock.nowMs, epoch: 5n }
    pass(901)
    registry.seen(6n, clock)
    expect(registry.holds(early)).to.equal(false)
    expect(registry.holds({ ...early, epoch: 7n })).to.equal(true)
  })
})
