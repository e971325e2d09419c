import { expect } from 'chai'
import fc from 'fast-check'
import { canonicalEmail, canonicalId } from '../../src/decide/email.ts'
import { GatewayError } from '../../src/errors.ts'
import { buildTarget } from '../../src/policy/index.ts'
import { need } from '../policy/corpora.ts'
import { bundleOf, findingsOf, gateWith } from '../policy/sample.ts'
import { decideNow, facts, request } from './asking.ts'

interface Redos {
  readonly pattern: string
  readonly attack: readonly { readonly text: string; readonly repeat: boolean }[]
}

const PLAIN = { stripPlusTags: false, ignoreDots: false }
const ALL = `{ id: r, kind: risk_patterns, sets: [command_execution, secrets, urls, path_traversal] }`

describe('text an agent sends', () => {
  it('has one canonical e-mail spelling, which is its own', () => {
    const part = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    const address = fc.tuple(part, fc.oneof(part, fc.domain())).map(([a, b]) => `${a}@${b}`)
    const options = fc.record({ stripPlusTags: fc.boolean(), ignoreDots: fc.boolean() })
    fc.assert(
      fc.property(fc.oneof(address, fc.emailAddress()), options, (text, options) => {
        const once = canonicalEmail(text, options)
        if (once === undefined) return
        expect(canonicalEmail(once, options)).to.equal(once)
        expect(once).to.match(/^[^@]+@[a-z0-9.-]+$/)
      }),
      { numRuns: 5000 },
    )
  })

  it('merges spellings of one address and keeps different ones apart', () => {
    const same = ['Bob@Example.COM', 'bob@example.com.', 'ｂob@example.com', 'bob@example。com']
    for (const one of same) expect(canonicalEmail(one, PLAIN), one).to.equal('bob@example.com')
    expect(canonicalEmail('x@münchen.de', PLAIN)).to.equal('x@xn--mnchen-3ya.de')
    expect(canonicalEmail('b.o.b+a@x.de', PLAIN)).to.equal('b.o.b+a@x.de')
    expect(canonicalEmail('b.o.b+a@x.de', { stripPlusTags: true, ignoreDots: true })).to.equal(
      'bob@x.de',
    )
    const none = [
      'a@b@c.de',
      '@x.de',
      'a@',
      '.a@x.de',
      'a..b@x.de',
      'a@x..de',
      'a@[1.2.3.4]',
      '+t@x.de',
    ]
    const options = { stripPlusTags: true, ignoreDots: false }
    for (const one of none) expect(canonicalEmail(one, options), one).to.equal(undefined)
    expect(canonicalId('C-7')).to.equal('c-7')
  })

  it('never makes a decision throw, whatever it is', async function () {
    const strings = need(this, 'naughty-strings.jsonl') as readonly string[]
    const dnc = '{ id: d, kind: do_not_contact, tools: [notes.write], lists: [l], ids: true }'
    const paths = '{ id: p, kind: path_whitelist, tools: [notes.write], allowed_dirs: [docs] }'
    const bundle = await bundleOf({
      'gate.yaml': gateWith(ALL, dnc, paths),
      'data/l.json': '["a@b.c"]',
    })
    const tool = bundle.tools.get('notes.write')
    const upstream = bundle.upstreams.get('notes')
    if (!tool || !upstream) throw new Error('no tool')
    for (const one of [...strings, '\ud800', '\u0000']) {
      const args = { id: one, text: one, to: [one], lines: [one], file: one }
      const asked = request('notes.write', args, { reason: one, context: { [one]: one } })
      const decision = decideNow(asked, facts(), bundle)
      expect(
        decision.trace.filter((step) => step.outcome === 'error'),
        one,
      ).to.deep.equal([])
      expect(decideNow(request(one, {}), facts(), bundle).effect).to.equal('deny')
      try {
        buildTarget(tool, upstream, args)
      } catch (error) {
        expect(error, one).to.be.instanceOf(GatewayError)
      }
    }
  })

  it('is matched in linear time, or the pattern is refused at load', async function () {
    this.timeout(600_000)
    const pairs = need(this, 'redos.jsonl') as readonly Redos[]
    let refused = 0
    for (const { pattern, attack } of pairs) {
      const text = JSON.stringify(pattern)
      const guard = `{ id: g, kind: risk_patterns, patterns: [{ name: p, pattern: ${text} }] }`
      const gate = gateWith(guard)
      const bundle = await bundleOf({ 'gate.yaml': gate }).catch(() => undefined)
      if (!bundle) {
        const found = await findingsOf({ 'gate.yaml': gate })
        expect(
          found.map((one) => one.code),
          pattern,
        ).to.deep.equal(['bad_regex'])
        refused++
        continue
      }
      const ms = (length: number): number => {
        const asked = request('notes.list', {}, { reason: grow(attack, length) })
        // CPU time of this process: what else the machine does is not in it.
        const start = process.cpuUsage()
        decideNow(asked, facts(), bundle)
        const { user, system } = process.cpuUsage(start)
        return (user + system) / 1000
      }
      const [half, whole] = [Math.min(ms(10_000), ms(10_000)), Math.min(ms(20_000), ms(20_000))]
      // A pattern that is not linear takes four times as long for twice the text, or for ever.
      if (whole > 100) expect(whole / half, pattern).to.be.below(3.5)
      expect(whole, pattern).to.be.below(5_000)
    }
    expect(refused).to.be.below(pairs.length / 2)
  })
})

function grow(attack: Redos['attack'], length: number): string {
  const fixed = attack.filter((one) => !one.repeat).reduce((sum, one) => sum + one.text.length, 0)
  return attack
    .map(({ text, repeat }) =>
      repeat ? text.repeat(Math.ceil((length - fixed) / Math.max(1, text.length))) : text,
    )
    .join('')
}
