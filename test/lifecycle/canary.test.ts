import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import {
  abort,
  canaryOf,
  decisionOf,
  ended,
  entriesOf,
  isInShare,
  liveOf,
  revisionOf,
  start,
  started,
} from '../support/canaries.ts'
import { heard, TestGate, until } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const DELETE = { tool: 'items.delete', args: { id: 'i-1' } }
const GET = { tool: 'items.get', args: { id: 'i-1' } }
/** No updates any more. */
const STRICT = GATE.replace('"items.update", ', '')
/** Updates are held, as deletes are. */
const HOLDS = STRICT.replace('["items.delete"]', '["items.delete", "items.update"]')
/** Deletes need nobody. */
const LENIENT = GATE.replace('effect: require_approval', 'effect: allow')
const SLOW = `package agent

deny contains "never" if {
  input.action.properties.args.id == "i-7"
  xs := numbers.range(1, 2000)
  some a in xs
  some b in xs
  some c in xs
  a != b
  b != c
  c < 0
}
`
const MUST = `version: 1
subjects: { worker: { roles: [worker] } }
actions:
  delete: { tool: items.delete, args: { id: i-1 } }
must_deny: [{ name: nobody deletes, actions: [delete] }]
`

describe('a policy on trial', function () {
  this.timeout(300_000)
  let upstream: TestUpstream
  let gate: TestGate
  let key: string
  const metric = async (change: string): Promise<number> => {
    const text = (await gate.call('GET', '/metrics')).text
    const line = text
      .split('\n')
      .find((one) => one.startsWith(`portcullis_canary_total{change="${change}"}`))
    return Number(line?.split(' ')[1] ?? 0)
  }
  const again = async () => {
    await gate.gate.stop()
    const { dataDir, policyDir } = gate
    gate = await TestGate.start({ dataDir, policyDir, upstream })
  }
  const idOf = async (name: string): Promise<string> =>
    (await gate.call('GET', `/api/v1/agents/${name}`)).body.agent.id
  const approve = (id: string) =>
    heard(() => gate.call('POST', `/approvals/${id}/approve`, { body: {} }))
  before(async () => {
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    gate = await TestGate.start({ upstream })
    key = await gate.agent('worker-1')
  })
  after(async () => {
    await gate.stop()
    await upstream.stop()
  })
  afterEach(async () => {
    if ((await canaryOf(gate))?.status === 'running') await abort(gate)
  })

  describe('that is not let in', () => {
    it('there is none before the first', async () => {
      expect(await canaryOf(gate)).to.equal(null)
      const none = await abort(gate)
      expect([none.status, none.body.error.code]).to.deep.equal([409, 'conflict'])
      const promote = await gate.call('POST', '/policy/canary/promote', { body: {} })
      expect([promote.status, promote.body.error.code]).to.deep.equal([409, 'conflict'])
    })

    it('is checked as what is published: syntax, tests, what no revision may get wrong', async () => {
      const live = await liveOf(gate)
      const broken = await start(gate, GATE.replace('effect: allow', 'effect: alow'))
      expect([broken.status, broken.body.error.code]).to.deep.equal([422, 'policy_invalid'])
      expect(broken.body.error.diagnostics[0]).to.include({ file: 'gate.yaml' })
      const files = { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'tests/must.yaml': MUST }
      const must = await start(gate, GATE, { files })
      expect([must.status, must.body.error.diagnostics[0].code]).to.deep.equal([
        ...[422, 'must_deny_failed'],
      ])
      expect([await liveOf(gate), await canaryOf(gate)]).to.deep.equal([live, null])
    })

    it('says what is wrong with what is asked', async () => {
      const said = async (more: object) => {
        const { status, body } = await start(gate, STRICT, more)
        return [status, body.error?.code]
      }
      expect(await said({ revision: '0'.repeat(64) })).to.deep.equal([400, 'invalid_request'])
      expect(await said({ files: undefined })).to.deep.equal([400, 'invalid_request'])
      expect(await said({ percent: 0 })).to.deep.equal([400, 'invalid_request'])
      expect(await said({ abort_when: {} })).to.deep.equal([400, 'invalid_request'])
      expect(await said({ until: '2020-01-01T00:00:00Z' })).to.deep.equal([400, 'invalid_request'])
      expect(await said({ agents: ['nobody-knows'] })).to.deep.equal([404, 'not_found'])
      const unknown = { files: undefined, revision: '0'.repeat(64) }
      expect(await said(unknown)).to.deep.equal([404, 'not_found'])
      const same = { files: undefined, revision: await liveOf(gate) }
      expect(await said(same)).to.deep.equal([409, 'conflict'])
    })
  })

  describe('that is compared', () => {
    it('records where it differs, counts it, and changes no answer', async () => {
      const live = await liveOf(gate)
      const before = await metric('allow_deny')
      const canary = await started(gate, STRICT, { reason: 'friday' })
      expect(canary).to.include({ status: 'running', mode: 'compare', base: live, note: 'friday' })
      const updated = await gate.act(key, UPDATE)
      expect([updated.status, revisionOf(updated)]).to.deep.equal([200, live])
      const entry = await decisionOf(gate, updated)
      expect(entry).to.include({ effect: 'allow', revision: live })
      expect(entry.candidate).to.include({ revision: canary.revision, effect: 'deny' })
      expect(entry.candidate.reasons[0]).to.include({ code: 'no_permission' })
      const read = await gate.act(key, GET)
      expect(read.status).to.equal(200)
      expect(await decisionOf(gate, read)).not.to.have.property('candidate')
      const { changes, last_5_min: recent } = await canaryOf(gate)
      expect(changes).to.deep.equal({ allow_deny: 1, same: 1 })
      expect(recent).to.deep.equal({
        ...{ decisions: 2, errors: 0, denied_live: 0 },
        ...{ denied_by_candidate: 1, new_denials: 1, unplayable: 0, late: 0 },
      })
      expect((await metric('allow_deny')) - before).to.equal(1)
      const second = await start(gate, LENIENT)
      expect([second.status, second.body.error.code]).to.deep.equal([409, 'conflict'])
      const [began] = (await entriesOf(gate, 'policy.canary')).slice(-1)
      expect(began).to.include({ state: 'started', actor: 'tester', canary_id: canary.id })
      const over = (await abort(gate, 'seen enough')).body.canary
      expect(over).to.include({ status: 'aborted', ended_by: 'tester' })
      expect(over.ended_because).to.deep.equal({ code: 'person', message: 'seen enough' })
      const [end] = (await entriesOf(gate, 'policy.canary')).slice(-1)
      expect(end).to.include({ state: 'aborted', actor: 'tester', reason: 'seen enough' })
      const later = await gate.act(key, UPDATE)
      expect(await decisionOf(gate, later)).not.to.have.property('candidate')
    })

    it('says what would not be held any more, of a decision that waits and of the one that lets it run', async () => {
      await started(gate, LENIENT)
      const held = await gate.act(key, DELETE)
      expect(held.status).to.equal(202)
      expect((await decisionOf(gate, held)).candidate).to.include({ effect: 'allow' })
      await approve(held.body.approval.id)
      const { body } = await gate.call('GET', `/actions/${held.body.action_id}?wait_s=30`)
      expect(body.status).to.equal('succeeded')
      expect((await canaryOf(gate)).changes).to.deep.equal({ hold_allow: 2 })
    })

    it('counts nothing twice that is sent again under its key, and nothing of who only asks', async () => {
      await started(gate, STRICT)
      const headers = { 'idempotency-key': 'canary-1' }
      for (let n = 0; n < 3; n++)
        expect((await gate.act(key, UPDATE, headers)).status).to.equal(200)
      const asked = await gate.act(key, { ...UPDATE, dry_run: true })
      expect(asked.body).to.include({ dry_run: true, decision: 'allow' })
      expect((await canaryOf(gate)).changes).to.deep.equal({ allow_deny: 1 })
    })

    it('one that fails is counted as that, and the answers are as ever', async () => {
      const files = { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'agent.rego': SLOW }
      await started(gate, GATE, { files, abort_when: { errors: 100 } })
      const slow = { tool: 'items.update', args: { id: 'i-7', note: 'n' } }
      const answer = await gate.act(key, slow)
      expect(answer.status).to.equal(200)
      const { candidate } = await decisionOf(gate, answer)
      expect([candidate.effect, candidate.reasons[0].code]).to.deep.equal([
        ...['deny', 'policy_budget_exceeded'],
      ])
      expect((await canaryOf(gate)).changes).to.deep.equal({ error: 1 })
      expect((await gate.act(key, UPDATE)).status).to.equal(200)
      expect((await canaryOf(gate)).changes).to.deep.equal({ error: 1, same: 1 })
    })

    it('guesses nothing: a look-up that only it makes, a path that it takes for another tool', async () => {
      const other = TOOLS.replace('args: { id: /id }, ttl_s: 0', 'args: { id: /text }, ttl_s: 0')
      const moved = other.replace(
        'path: "/items/{id}", effect: read',
        'path: "/things/{id}", effect: read',
      )
      const effects = upstream.effects.length
      await started(gate, GATE, { files: { 'gate.yaml': GATE, 'tools.yaml': moved } })
      const mail = { tool: 'mail.send', args: { id: 'ada', text: 'hi' } }
      expect((await gate.act(key, mail)).status).to.equal(200)
      const urls = upstream.effects.slice(effects).map(({ url }) => url)
      expect(urls).to.deep.equal(['/people/ada', '/people/ada/mail'])
      expect((await gate.call('GET', '/proxy/test/items/i-1', { key })).status).to.equal(200)
      expect((await gate.call('GET', '/proxy/test/items', { key })).status).to.equal(200)
      expect((await canaryOf(gate)).changes).to.deep.equal({ unplayable: 2, same: 1 })
    })

    it('puts nothing on record that the live policy hides from it', async () => {
      const files = (gateYaml: string) => ({
        ...{ 'gate.yaml': gateYaml, 'tools.yaml': TOOLS },
        'agent.rego': `package agent\n\ndeny contains sprintf("not %s", [input.action.properties.args.note]) if ${gateYaml === GATE}\n`,
      })
      const first = await liveOf(gate)
      const masked = `${GATE}record:\n  mask: [/args/note]\n`
      const { status, text } = await gate.call('PUT', '/policy/files', {
        body: { files: files(masked) },
        headers: { 'if-match': first },
      })
      expect(status, text).to.equal(200)
      await started(gate, GATE, { files: files(GATE) })
      const args = { id: 'i-1', note: 'the-secret-of-tests' }
      const answer = await gate.act(key, { tool: 'items.update', args })
      expect(answer.status).to.equal(200)
      const entry = await decisionOf(gate, answer)
      expect(entry.candidate.effect).to.equal('deny')
      expect(entry.candidate.reasons[0].message).to.match(/^not \S+$/)
      expect(JSON.stringify(entry)).not.to.include('the-secret-of-tests')
      const back = { revision: first, reason: 'drill' }
      expect((await gate.call('POST', '/policy/rollback', { body: back })).status).to.equal(200)
    })

    it('is for the share, the agents and the roles that it is meant for', async () => {
      const clerk = await gate.agent('clerk-1', ['worker', 'clerk'])
      await started(gate, STRICT, { roles: ['clerk'] })
      await gate.act(key, UPDATE)
      await gate.act(clerk, UPDATE)
      expect((await canaryOf(gate)).changes).to.deep.equal({ allow_deny: 1 })
      await abort(gate)
      const canary = await started(gate, STRICT, { agents: ['worker-1'] })
      expect(canary.agents).to.deep.equal([await idOf('worker-1')])
      for (let n = 0; n < 2; n++) await gate.act(key, UPDATE)
      await gate.act(clerk, UPDATE)
      expect((await canaryOf(gate)).changes).to.deep.equal({ allow_deny: 2 })
    })
  })

  describe('that decides for a share', () => {
    it('each agent is on the side of its digest, on record by its revision, also after a restart', async () => {
      const names = Array.from({ length: 12 }, (_, n) => `share-${n}`)
      const keys = new Map<string, string>()
      for (const name of names) keys.set(name, await gate.agent(name))
      const canary = await started(gate, STRICT, { mode: 'enforce', percent: 50 })
      const ids = new Map<string, string>()
      for (const name of names) ids.set(name, await idOf(name))
      const wanted = names.map((name) =>
        isInShare(canary, ids.get(name) ?? '')
          ? { name, status: 403, revision: canary.revision }
          : { name, status: 200, revision: canary.base },
      )
      const sides = async () => {
        const found: unknown[] = []
        for (const name of names) {
          const answer = await gate.act(keys.get(name) ?? '', UPDATE)
          found.push({ name, status: answer.status, revision: revisionOf(answer) })
        }
        return found
      }
      expect(await sides()).to.deep.equal(wanted)
      await again()
      expect(await sides()).to.deep.equal(wanted)
      expect((await canaryOf(gate)).id).to.equal(canary.id)
      const decided = await entriesOf(gate, 'decision')
      const denied = decided.filter(
        ({ revision }: { revision: string }) => revision === canary.revision,
      )
      for (const { live } of denied) {
        expect(live).to.include({ revision: canary.base, effect: 'allow' })
      }
    })

    it('what the candidate decided is explained by its own rules', async () => {
      const canary = await started(gate, STRICT, { mode: 'enforce' })
      const { body } = await gate.act(key, UPDATE)
      await abort(gate)
      const told = await gate.call('GET', `/actions/${body.error.action_id}/explain`)
      expect(told.status, told.text).to.equal(200)
      expect(told.body).to.include({ revision: canary.revision, live: false })
      const kept = await gate.call('GET', `/policy/files?revision=${canary.revision}`)
      expect(kept.body.files.map((one: { path: string }) => one.path)).to.include('gate.yaml')
      // It was on trial and never the policy: nobody goes back to it.
      const back = { revision: canary.revision, reason: 'drill' }
      expect((await gate.call('POST', '/policy/rollback', { body: back })).status).to.equal(409)
    })

    it('rehearsals and questions of others are answered by the side of their agent', async () => {
      const canary = await started(gate, STRICT, { mode: 'enforce', agents: ['worker-1'] })
      const dry = await gate.act(key, { ...UPDATE, dry_run: true })
      expect(dry.body).to.include({ decision: 'deny', revision: canary.revision })
      const question = (agent: string) =>
        gate.call('POST', '/access/v1/evaluation', {
          body: {
            subject: { type: 'agent', id: agent },
            action: { name: 'items.update', properties: UPDATE.args },
            resource: { type: 'item', id: 'i-1' },
          },
        })
      await gate.agent('bystander')
      expect((await question('worker-1')).body.decision).to.equal(false)
      expect((await question('bystander')).body.decision).to.equal(true)
      expect((await canaryOf(gate)).changes).to.deep.equal({ allow_deny: 1 })
    })

    it('a path that only the candidate has a tool for is open for its share', async () => {
      const moved = TOOLS.replace(
        'path: "/items/{id}", effect: read',
        'path: "/things/{id}", effect: read',
      )
      const clerk = await gate.agent('clerk-2')
      const files = { 'gate.yaml': GATE, 'tools.yaml': moved }
      await started(gate, GATE, { files, mode: 'enforce', agents: ['worker-1'] })
      const ask = (who: string) => gate.call('GET', '/proxy/test/things/1', { key: who })
      expect((await ask(key)).status).to.equal(200)
      expect((await ask(clerk)).status).to.equal(403)
    })

    it('what is held is decided again by the side that it began on, and by the live one when that is gone', async () => {
      const canary = await started(gate, HOLDS, { mode: 'enforce' })
      const hold = async () => {
        const held = await gate.act(key, { ...UPDATE, args: { id: `i-${Math.random()}` } })
        expect([held.status, revisionOf(held)]).to.deep.equal([202, canary.revision])
        return held.body
      }
      const [first, second] = [await hold(), await hold()]
      const decidedBy = async ({ approval, action_id: id }: Awaited<ReturnType<typeof hold>>) => {
        await approve(approval.id)
        const { body } = await gate.call('GET', `/actions/${id}?wait_s=30`)
        return [body.status, body.revision]
      }
      await again()
      expect(await decidedBy(first)).to.deep.equal(['succeeded', canary.revision])
      await abort(gate)
      expect(await decidedBy(second)).to.deep.equal(['succeeded', canary.base])
      // And what began under the live one stays there.
      const begun = (await gate.act(key, { ...DELETE, args: { id: 'i-side' } })).body
      const none = await started(gate, STRICT.replace(/ {2}- .*items.delete.*\n/, ''), {
        mode: 'enforce',
      })
      expect(await decidedBy(begun)).to.deep.equal(['succeeded', none.base])
    })

    it('one that fails refuses, as any policy that fails', async () => {
      const files = { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'agent.rego': SLOW }
      await started(gate, GATE, { files, mode: 'enforce' })
      const slow = { tool: 'items.update', args: { id: 'i-7', note: 'n' } }
      expect((await gate.act(key, slow)).status).to.equal(403)
      expect((await canaryOf(gate)).changes).to.deep.equal({ error: 1 })
    })
  })

  describe('that ends', () => {
    const alerts = async () =>
      (await gate.call('GET', '/api/v1/alerts?type=canary_aborted')).body.alerts
    const acted = async (times: number, what: object = UPDATE) => {
      for (let n = 0; n < times; n++) await gate.act(key, what)
    }

    it('by errors, with an alert and an entry that say so', async () => {
      const before = (await alerts()).length
      const files = { 'gate.yaml': GATE, 'tools.yaml': TOOLS, 'agent.rego': SLOW }
      const { id } = await started(gate, GATE, { files, abort_when: { errors: 2 } })
      await acted(2, { tool: 'items.update', args: { id: 'i-7' } })
      const canary = await ended(gate, id)
      expect(canary).to.include({ status: 'aborted', ended_by: null })
      expect(canary.ended_because.code).to.equal('errors')
      const [alert, ...more] = await alerts()
      expect(more).to.have.length(before)
      expect(alert.details).to.deep.include({ canary_id: id, code: 'errors' })
      const [entry] = (await entriesOf(gate, 'policy.canary')).slice(-1)
      expect(entry).to.include({
        canary_id: id,
        state: 'aborted',
        code: 'errors',
        actor: '',
      })
    })

    it('by new denials, of a share that it decides for', async () => {
      const abort_when = { new_denials: 3 }
      const { id, base } = await started(gate, STRICT, { mode: 'enforce', abort_when })
      await acted(2)
      expect((await canaryOf(gate)).status).to.equal('running')
      await acted(1)
      expect((await ended(gate, id)).ended_because.code).to.equal('new_denials')
      await until('the live one decides', async () => (await gate.act(key, UPDATE)).status === 200)
      expect(revisionOf(await gate.act(key, UPDATE))).to.equal(base)
    })

    it('by what the last five minutes had, and by nothing before', async () => {
      const { id } = await started(gate, STRICT, { abort_when: { new_denials: 3 } })
      await acted(2)
      expect((await canaryOf(gate)).last_5_min.new_denials).to.equal(2)
      await gate.gate.operations.write((tx) =>
        tx.query('update policy_canary_counts set slot = slot - 31 where slot > 0'),
      )
      await acted(2)
      const { changes, last_5_min: recent } = await canaryOf(gate)
      expect([changes, recent.new_denials]).to.deep.equal([{ allow_deny: 4 }, 2])
      await again() // which looks, before anybody can call
      expect((await canaryOf(gate)).status).to.equal('running')
      await acted(1)
      expect((await ended(gate, id)).ended_because.code).to.equal('new_denials')
    })

    it('by decisions that waited for the other policy in vain', async () => {
      const { id } = await started(gate, STRICT, { abort_when: { late: 3 } })
      const late = (n: number) =>
        gate.gate.operations.write((tx) =>
          tx.query(
            `insert into policy_canary_counts select $1, extract(epoch from now())::bigint / 10 - $2::int, 'late', $2, 0, 0, 0`,
            [id, n],
          ),
        )
      await late(2)
      await again() // which looks, before anybody can call
      expect((await canaryOf(gate)).last_5_min.late).to.equal(2)
      expect((await canaryOf(gate)).status).to.equal('running')
      await late(1)
      expect((await ended(gate, id)).ended_because.code).to.equal('late')
    })

    it('by so many times the denials, where there are decisions enough to say so', async () => {
      const { id } = await started(gate, STRICT, { abort_when: { deny_rate_x: 3 } })
      await acted(19)
      expect((await canaryOf(gate)).last_5_min).to.include({ denied_by_candidate: 19 })
      await until('it was looked at', async () => {
        const { status, last_5_min: recent } = await canaryOf(gate)
        return status === 'running' && recent.decisions === 19
      })
      await acted(1)
      expect((await ended(gate, id)).ended_because.code).to.equal('deny_rate_x')
    })

    it('by its time, without an alert', async () => {
      const before = (await alerts()).length
      const soon = new Date(Date.now() + 1_500).toISOString()
      const { id } = await started(gate, STRICT, { until: soon })
      const canary = await ended(gate, id)
      expect([canary.status, canary.ended_because.code]).to.deep.equal(['expired', 'until'])
      expect(await alerts()).to.have.length(before)
    })

    it('when it is promoted: it is the policy, for all and for what was held by it', async () => {
      const first = await liveOf(gate)
      const canary = await started(gate, HOLDS, { mode: 'enforce', percent: 100 })
      const held = (await gate.act(key, UPDATE)).body
      const promoted = await gate.call('POST', '/policy/canary/promote', {
        body: { reason: 'it holds' },
      })
      expect(promoted.status, promoted.text).to.equal(200)
      expect(promoted.body).to.include({ revision: canary.revision, parent: first, changed: true })
      expect(fs.readFileSync(path.join(gate.policyDir, 'gate.yaml'), 'utf8')).to.equal(HOLDS)
      expect(await liveOf(gate)).to.equal(canary.revision)
      expect(await canaryOf(gate)).to.include({ status: 'promoted', ended_by: 'tester' })
      await approve(held.approval.id)
      const { body } = await gate.call('GET', `/actions/${held.action_id}?wait_s=30`)
      expect([body.status, body.revision]).to.deep.equal(['succeeded', canary.revision])
      const { publications } = (await gate.call('GET', '/policy/revisions?limit=1')).body
      expect(publications[0]).to.include({ source: 'api', note: 'it holds', author: 'tester' })
    })

    it('when another policy becomes the live one, by whatever way', async () => {
      const put = async (text: string) => {
        const { status, text: said } = await gate.call('PUT', '/policy/files', {
          body: { files: { 'gate.yaml': text, 'tools.yaml': TOOLS } },
          headers: { 'if-match': await liveOf(gate) },
        })
        expect(status, said).to.equal(200)
      }
      const supersededBy = async (way: () => Promise<unknown>) => {
        const { id, base } = await started(gate, STRICT)
        await way()
        const { status, ended_because: why } = await ended(gate, id)
        expect([status, why.code]).to.deep.equal(['aborted', 'superseded'])
        return base as string
      }
      const before = await supersededBy(() => put(LENIENT))
      await supersededBy(() =>
        gate.call('POST', '/policy/rollback', { body: { revision: before, reason: 'drill' } }),
      )
      await supersededBy(async () => {
        writePolicies(gate.policyDir, { 'gate.yaml': `${GATE}# by hand\n` })
        await gate.call('POST', '/policy/reload', { body: {} })
      })
      // The very same policy, published by another way, is a promotion.
      const { id } = await started(gate, STRICT)
      await put(STRICT)
      expect((await ended(gate, id)).status).to.equal('promoted')
      await put(GATE)
    })
  })
})
