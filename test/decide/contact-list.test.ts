import { expect } from 'chai'
import { bundleOf, findingsOf, gateWith } from '../policy/sample.ts'
import { codes, decideNow, facts, request } from './asking.ts'

const guard = (more = '') =>
  gateWith(`{ id: g, kind: do_not_contact, tools: [notes.write], lists: [l]${more} }`)

/** What is said of a note to somebody, where a list under `data/` is as given. */
async function answer(file: string, text: string, to: string, more = ''): Promise<string[]> {
  const bundle = await bundleOf({ 'gate.yaml': guard(more), [file]: text })
  return codes(decideNow(request('notes.write', { id: 'n-1', to: [to] }), facts(), bundle))
}

const LISTS: readonly [what: string, file: string, text: string, to: string][] = [
  ['header names in any case', 'data/l.csv', 'ID, Email\n7,bob@x.org\n', 'bob@x.org'],
  ['semicolons between cells', 'data/l.csv', 'email;reason\nbob@x.org;a, b\n', 'bob@x.org'],
  ['tabs between cells', 'data/l.csv', 'id\temail\n\tbob@x.org\n', 'bob@x.org'],
  ['notes before the header', 'data/l.csv', '# a;b;c;d\nemail,id\nbob@x.org,\n', 'bob@x.org'],
  ['a column of domains', 'data/l.csv', 'Domain\nx.org\n', 'bob@mail.x.org'],
  ['an id beside an address', 'data/l.csv', 'email,id\nbob@x.org,C-7\n', 'bob@x.org'],
  ['keys in any case', 'data/l.yaml', '- { EMAIL: bob@x.org }\n', 'bob@x.org'],
  ['nulls for what is absent', 'data/l.json', '[{"email": "bob@x.org", "id": null}]', 'bob@x.org'],
]

describe('A list of those who must not be contacted', () => {
  for (const [what, file, text, to] of LISTS) {
    it(`matches with ${what}`, async () => {
      expect(await answer(file, text, to)).to.include('do_not_contact')
      expect(await answer(file, text, 'ann@y.org')).not.to.include('do_not_contact')
    })
  }

  it('matches ids written as numbers, where recipients may be ids', async () => {
    for (const text of ['- 42\n', '- { id: 42 }\n', "- '42'\n"]) {
      expect(await answer('data/l.yaml', text, '42', ', ids: true')).to.include('do_not_contact')
    }
  })

  it('takes no patterns, which nothing would match', async () => {
    for (const entry of ['*@x.org', 'bob*@x.org', '@*.x.org', '*', 'C-*']) {
      const found = await findingsOf({
        'gate.yaml': guard(', ids: true'),
        'data/l.json': JSON.stringify([entry]),
      })
      expect(
        found.map(({ code }) => code),
        entry,
      ).to.deep.equal(['bad_list_entry'])
    }
  })

  it('is one finding when nothing in it could match, however many rows it has', async () => {
    const rows = Array.from({ length: 500 }, (_, n) => `p${n}@x.org\n`).join('')
    const found = await findingsOf({ 'gate.yaml': guard(), 'data/l.csv': rows })
    expect(found.map(({ file, line, col, end }) => ({ file, line, col, end }))).to.deep.equal([
      { file: 'data/l.csv', line: 1, col: 1, end: { line: 1, col: 9 } },
    ])
  })
})

describe('A value that an arg can never have', () => {
  const row = (when: string, effect = 'deny') =>
    gateWith(
      `{ id: p, kind: permissions, roles: [writer], tools: ['notes.*'], effect: ${effect}, when: { args: ${when} } }`,
    )

  it('is an error of the permission row that waits for it, with what was meant', async () => {
    const [found, ...more] = await findingsOf({ 'gate.yaml': row('{ status: [open, closd] }') })
    expect(more).to.deep.equal([])
    expect(found).to.include({ code: 'unknown_value', line: 7, hint: 'did you mean `closed`?' })
    for (const when of ['{ status: 1 }', '{ /lines/0: 7 }', '{ text: true }']) {
      const [one] = await findingsOf({ 'gate.yaml': row(when) })
      expect(one?.code, when).to.equal('unknown_value')
    }
  })

  it('is none when one of the tools may get it, or the schema does not say', async () => {
    await bundleOf({ 'gate.yaml': row('{ status: closed, /lines/0: a }') })
    await bundleOf({ 'gate.yaml': row('{ limit: 3 }') })
  })
})

describe('A glob that denies', () => {
  const asked = async (glob: string, file: string) => {
    const bundle = await bundleOf({
      'gate.yaml': gateWith(
        `{ id: g, kind: path_whitelist, tools: [notes.write], allowed_dirs: ['.'], deny_globs: ['${glob}'] }`,
      ),
    })
    return codes(decideNow(request('notes.write', { id: 'n-1', file }), facts(), bundle))
  }

  it('matches however it is spelt: from the root, from here, and in another normal form', async () => {
    expect(await asked('./secret/**', 'secret/a')).to.include('path_denied')
    expect(await asked('/secret/**', 'secret/a')).to.include('path_denied')
    expect(await asked('cafe\u0301/*', 'caf\u00e9/a')).to.include('path_denied')
  })

  it('is an error when no path could match it', async () => {
    const never = [
      'a/./b',
      'a/../b',
      'a//b',
      'secret\\*',
      './',
      '*.pem ',
      'logs./*',
      ' x',
      'a:*',
      '%2e*',
      'a;b',
    ]
    for (const glob of never) {
      const files = {
        'gate.yaml': gateWith(
          `{ id: g, kind: path_whitelist, tools: [notes.write], allowed_dirs: ['.'], deny_globs: ['${glob}'] }`,
        ),
      }
      expect(
        (await findingsOf(files)).map(({ code }) => code),
        glob,
      ).to.deep.equal(['bad_path_rule'])
    }
    const taken = ['*.{pem,a:b}', '[a:]b', '.env*', '**/.ssh/**', 'a b/*', 'x?']
    const rules = JSON.stringify(taken)
    const files = {
      'gate.yaml': gateWith(
        `{ id: g, kind: path_whitelist, tools: [notes.write], allowed_dirs: ['.'], deny_globs: ${rules} }`,
      ),
    }
    expect((await bundleOf(files)).revision).to.be.a('string')
  })
})

describe('A role that approves', () => {
  it('is one that keys of people have, or it is said what was meant', async () => {
    const terms = 'approvals: { default: { approver_roles: [aprover, admin, agent] } }\n'
    const { warnings } = await bundleOf({
      'gate.yaml': `${guard()}\n${terms}`,
      'data/l.json': '[]',
    })
    const found = warnings.filter(({ code }) => code === 'no_such_role')
    expect(found.map(({ message }) => message)).to.deep.equal([
      "no person's key has role `aprover`",
      "no person's key has role `agent`",
    ])
    expect(found[0]?.hint).to.contain('`approver`')
  })
})
