import { expect } from 'chai'
import {
  abort,
  canaryOf,
  decisionOf,
  ended,
  entriesOf,
  liveOf,
  NEVER,
  revisionOf,
  start,
  started,
} from '../support/canaries.ts'
import { heard, TestGate, until } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const DELETE = { tool: 'items.delete', args: { id: 'i-1' } }
/** No updates any more. */
const STRICT = GATE.replace('"items.update", ', '')
/** Updates are held, as deletes are. */
const HOLDS = STRICT.replace('["items.delete"]', '["items.delete", "items.update"]')
const ENFORCE = { mode: 'enforce' }

describe('a policy on trial that decides', function () {
  this.timeout(600_000)
  let upstream: TestUpstream
  let gate: TestGate
  let key: string
  let bystander: string
  before(async () => {
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    gate = await TestGate.start({ upstream })
    key = await gate.agent('worker-1')
    bystander = await gate.agent('worker-2')
  })
  after(async () => {
    await gate.stop()
    await upstream.stop()
  })
  afterEach(async () => {
    if ((await canaryOf(gate))?.status === 'running') await abort(gate)
  })

  // A busy machine may keep the record waiting, which is nothing that a test here is about.
  const call: TestGate['call'] = (...asked) => heard(() => gate.call(...asked))
  const act: TestGate['act'] = (...asked) => heard(() => gate.act(...asked))
  const ONE = { ...ENFORCE, agents: ['worker-1'] }
  const put = async (text: string) => {
    const { status, text: said } = await call('PUT', '/policy/files', {
      body: { files: { 'gate.yaml': text, 'tools.yaml': TOOLS } },
      headers: { 'if-match': await liveOf(gate) },
    })
    expect(status, said).to.equal(200)
  }
  /** With another live policy, and back to the one before. */
  const under = async (text: string, work: () => Promise<void>) => {
    const first = await liveOf(gate)
    await put(text)
    try {
      await work()
    } finally {
      const back = { revision: first, reason: 'test' }
      const { status } = await call('POST', '/policy/rollback', { body: back })
      expect(status).to.equal(200)
    }
  }
  const approve = (id: string, who?: string) =>
    call('POST', `/approvals/${id}/approve`, { body: {}, ...(who ? { key: who } : {}) })
  const outcomeOf = async (id: string) => {
    const { body } = await call('GET', `/actions/${id}?wait_s=30`)
    return [body.status, body.revision]
  }

  describe('counts with the live one', () => {
    const contacted = (id: string, perS: number) =>
      `${GATE}guards:\n  - { id: ${id}, kind: do_not_contact, recipients: [/id], ids: true, tools: [mail.send], frequency: { limit: 2, per_s: ${perS} } }\n`
    const rated = (id: string, perS: number) =>
      GATE.replace(
        '  - { limit: 100000, per_s: 1 }',
        `  - { id: ${id}, limit: 4, per_s: ${perS}, scope: global }`,
      )
    const mail = (id: string) => ({ tool: 'mail.send', args: { id, text: 'hi' } })

    // Of each pair, the second is what is on trial.
    for (const [name, lengths] of [
      ['longer', [3_600, 86_400]],
      ['shorter', [86_400, 3_600]],
    ] as const) {
      it(`whom both contact, in a ${name} window of the same guard`, () =>
        under(contacted(name, lengths[0]), async () => {
          await started(gate, contacted(name, lengths[1]), ONE)
          const to = (who: string, id: string) => act(who, mail(id))
          // Once by either, and then it is too often for both.
          for (const who of [key, bystander]) {
            const { status, text } = await to(who, `${name}-1`)
            expect(status, text).to.equal(200)
          }
          for (const who of [key, bystander]) {
            const { status, text } = await to(who, `${name}-1`)
            expect(status, text).to.equal(403)
            expect(text).to.include('contact_frequency')
          }
          // Two of one batch count each other too.
          const both = await Promise.all(
            [key, bystander, key, bystander].map((who) => to(who, `${name}-2`)),
          )
          expect(both.map(({ status }) => status)).to.have.members([200, 200, 403, 403])
        }))

      it(`how often is asked, in a ${name} window of the same limit`, () =>
        under(rated(name, lengths[0]), async () => {
          await started(gate, rated(name, lengths[1]), ONE)
          const statuses: number[] = []
          for (const who of [key, bystander, key, bystander, key, bystander]) {
            statuses.push((await act(who, UPDATE)).status)
          }
          expect(statuses).to.deep.equal([200, 200, 200, 200, 429, 429])
        }))
    }
  })

  describe('and holds', () => {
    it('what another canary of the same revision held is decided by the live policy', async () => {
      const first = await started(gate, HOLDS, ENFORCE)
      const held = (await act(key, { ...UPDATE, args: { id: 'again' } })).body
      expect(held.revision).to.equal(first.revision)
      await abort(gate)
      const second = await started(gate, HOLDS, ENFORCE)
      expect([second.revision, second.id === first.id]).to.deep.equal([first.revision, false])
      await approve(held.approval.id)
      expect(await outcomeOf(held.action_id)).to.deep.equal(['succeeded', first.base])
      // And its own by itself.
      const own = (await act(key, { ...UPDATE, args: { id: 'own' } })).body
      await approve(own.approval.id)
      expect(await outcomeOf(own.action_id)).to.deep.equal(['succeeded', second.revision])
    })

    it('is voted on by its own terms, and those of the live policy are for what that one holds', async () => {
      const approver = await gate.key('approver', 'an-approver')
      const terms = (role: string) => `approvals: { default: { approver_roles: [${role}] } }\n`
      await under(`${HOLDS}${terms('admin')}`, async () => {
        await started(gate, `${HOLDS}${terms('approver')}`, ONE)
        const hold = async (who: string) => (await act(who, UPDATE)).body.approval.id
        const [its, live] = [await hold(key), await hold(bystander)]
        const mayVote = async (id: string) =>
          (await call('GET', `/approvals/${id}`, { key: approver })).body.may_vote.approve
        expect([await mayVote(its), await mayVote(live)]).to.deep.equal([true, false])
        expect((await approve(its)).status).to.equal(403)
        expect((await approve(live, approver)).status).to.equal(403)
        const many = await call('POST', '/approvals/votes', {
          key: approver,
          body: { votes: [its, live].map((id) => ({ id, vote: 'approve' })) },
        })
        const errors = many.body.votes.map(
          ({ error }: { error: { code: string } | null }) => error?.code,
        )
        expect(errors).to.deep.equal([undefined, 'forbidden'])
        expect((await approve(live)).status).to.equal(200)
      })
    })
  })

  it('the kill switch knows what only it knows', async () => {
    const tools = `${TOOLS.replace('upstreams:', `upstreams:\n  other: { base_url: "${upstream.url}" }`)}
  parts.get: { upstream: other, method: GET, path: "/parts", effect: read, args: { type: object } }
`
    const policy = GATE.replace('"items.list"', '"items.list", "parts.get"')
    const files = { 'gate.yaml': policy, 'tools.yaml': tools }
    await started(gate, GATE, { files, ...ONE })
    const asked = { tool: 'parts.get', args: {} }
    expect((await act(key, asked)).status).to.equal(200)
    for (const scope of [{ tool: 'parts.get' }, { tool: 'parts.*' }, { upstream: 'other' }]) {
      const kill = (engaged: boolean) =>
        call('PUT', '/kill-switch', { body: { engaged, scope, reason: 'drill' } })
      const { status, body, text } = await kill(true)
      expect(status, text).to.equal(200)
      expect(body.covers).to.include({ tools: 1, upstreams: 1 })
      expect((await act(key, asked)).body.error.code).to.equal('kill_switch_engaged')
      expect((await kill(false)).status).to.equal(200)
    }
  })

  it('pauses nobody: what is over its budget is refused, and goes on when the trial is over', async () => {
    const limited = (limit: string) =>
      `${GATE}budgets:\n  - { id: monthly, limit: '${limit}', period: month, scope: agent }\n`
    const spender = await gate.agent('spender')
    const spend = () => act(spender, { ...UPDATE, cost: '6.00' })
    const statusOf = async () => (await call('GET', '/api/v1/agents/spender')).body.agent.status
    await under(limited('20.00'), async () => {
      await started(gate, limited('10.00'), { ...ENFORCE, agents: ['spender'] })
      expect((await spend()).status).to.equal(200)
      for (let n = 0; n < 2; n++) {
        expect((await spend()).body.error.code).to.equal('budget_exceeded')
        expect(await statusOf()).to.equal('active')
      }
      await abort(gate)
      expect((await spend()).status).to.equal(200)
      expect((await spend()).status).to.equal(200)
      // The live policy pauses as ever.
      expect((await spend()).body.error.code).to.equal('budget_exceeded')
      expect(await statusOf()).to.equal('paused')
    })
  })

  it('what one of the two hides, neither writes', async () => {
    const masked = (pointer: string) => `${GATE}record:\n  mask: [${pointer}]\n`
    const args = { id: 'i-1', note: 'note-of-nobody', data: 'data-of-nobody' }
    const onRecord = async (answer: Awaited<ReturnType<typeof act>>) => {
      const action = await call('GET', `/actions/${answer.body.action_id}`)
      return `${JSON.stringify(await decisionOf(gate, answer))} ${action.text}`
    }
    await under(masked('/args/note'), async () => {
      for (const mode of ['enforce', 'compare']) {
        await started(gate, masked('/args/data'), { mode, agents: ['worker-1'] })
        const answer = await act(key, { tool: 'items.update', args })
        expect(answer.status, answer.text).to.equal(200)
        expect(await onRecord(answer))
          .to.match(/masked:/)
          .and.not.match(/-of-nobody/)
        const other = await onRecord(await act(bystander, { tool: 'items.update', args }))
        expect(other).to.include('data-of-nobody').and.not.include('note-of-nobody')
        await abort(gate)
      }
    })
  })

  it('one that lost a route ends by what cannot be played', async () => {
    const files = {
      'gate.yaml': GATE,
      'tools.yaml': TOOLS.replaceAll('"/items/{id}"', '"/lost/{id}"'),
    }
    for (const mode of ['enforce', 'compare']) {
      const abort_when = { ...NEVER, unplayable: 3 }
      const { id } = await started(gate, GATE, { files, mode, abort_when })
      const ask = () => call('GET', '/proxy/test/items/i-1', { key })
      for (let n = 0; n < 2; n++) await ask()
      const seen = await canaryOf(gate)
      expect(seen.last_5_min).to.include({ unplayable: 2, errors: 0, decisions: 0 })
      await ask()
      const canary = await ended(gate, id)
      expect([canary.status, canary.ended_because.code]).to.deep.equal(['aborted', 'unplayable'])
      const { alerts } = (await call('GET', '/api/v1/alerts?type=canary_aborted')).body
      expect(alerts[0].details).to.include({ canary_id: id, code: 'unplayable' })
      expect((await ask()).status).to.equal(200)
    }
  })

  describe('while its figures cannot be read or written', () => {
    const rename = (from: string, to: string) =>
      gate.gate.operations.write((tx) => tx.query(`alter table ${from} rename to ${to}`))
    beforeEach(() => rename('policy_canary_counts', 'counts_elsewhere'))
    afterEach(() => rename('counts_elsewhere', 'policy_canary_counts'))

    it('begins, decides and is aborted all the same, and its figures are null', async () => {
      const canary = await started(gate, STRICT, ENFORCE)
      expect([canary.changes, canary.last_5_min]).to.deep.equal([null, null])
      const decided = await act(key, UPDATE)
      expect([decided.status, revisionOf(decided)]).to.deep.equal([403, canary.revision])
      const over = await abort(gate)
      expect([over.status, over.body.canary.status]).to.deep.equal([200, 'aborted'])
      expect((await act(key, UPDATE)).status).to.equal(200)
    })

    it('ends when its time is over', async () => {
      const soon = new Date(Date.now() + 1_500).toISOString()
      const { id } = await started(gate, STRICT, { ...ENFORCE, until: soon })
      expect((await ended(gate, id)).ended_because.code).to.equal('until')
      await until('the live one decides', async () => (await act(key, UPDATE)).status === 200)
    })
  })

  it('what was counted until it ended is kept, also of what could not be written then', async () => {
    const rename = (from: string, to: string) =>
      gate.gate.operations.write((tx) => tx.query(`alter table ${from} rename to ${to}`))
    await started(gate, STRICT)
    await rename('policy_canary_counts', 'counts_elsewhere')
    await act(key, UPDATE)
    await abort(gate)
    await rename('counts_elsewhere', 'policy_canary_counts')
    await until('it is written', async () => (await canaryOf(gate)).changes.allow_deny === 1)
  })

  it('a promotion that is rolled back at once is over at once', async () => {
    const canary = await started(gate, STRICT, ENFORCE)
    expect((await act(key, UPDATE)).status).to.equal(403)
    const promoted = await call('POST', '/policy/canary/promote', { body: {} })
    expect(promoted.status, promoted.text).to.equal(200)
    const back = { revision: canary.base, reason: 'drill' }
    const rolled = await call('POST', '/policy/rollback', { body: back })
    expect(rolled.status, rolled.text).to.equal(200)
    const answer = await act(key, UPDATE)
    expect([answer.status, revisionOf(answer)]).to.deep.equal([200, canary.base])
    const [entry] = (await entriesOf(gate, 'policy.canary')).slice(-1)
    expect(entry).to.include({ canary_id: canary.id, state: 'promoted' })
  })

  it('what a person has to see of what it holds is what it would send', async () => {
    const tools = TOOLS.replace(
      'items.delete:\n    { upstream: test, method: DELETE, path: "/items/{id}"',
      'items.delete:\n    { upstream: test, method: DELETE, path: "/gone/{id}"',
    )
    const files = { 'gate.yaml': GATE, 'tools.yaml': tools }
    await started(gate, GATE, { files, ...ONE })
    const { approval, action_id: id } = (await act(key, DELETE)).body
    const { target } = (await call('GET', `/approvals/${approval.id}`)).body
    expect(target).to.include({ path: '/gone/i-1', unchanged: true })
    await approve(approval.id)
    expect((await outcomeOf(id))[0]).to.equal('succeeded')
    expect(upstream.effects.at(-1)).to.include({ url: '/gone/i-1' })
  })

  it('is let in once at a time, as any', async () => {
    await started(gate, STRICT, ENFORCE)
    expect((await start(gate, HOLDS, ENFORCE)).status).to.equal(409)
  })
})
