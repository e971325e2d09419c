import { expect } from 'chai'
import type { JsonObject } from '../../src/model/json.ts'
import { effectHash, targetOf } from '../../src/pipeline/judge.ts'
import { bundleOf, TOOLS } from '../policy/sample.ts'

const BASE = "base_url: 'http://127.0.0.1:9999/api'"
const OLD = TOOLS.replace(
  BASE,
  `${BASE}, credential: { header: X-K, env: K }, idempotency_header: X-I`,
)
/** As the version before `params`, `body` and the like made them. */
const HASHES: readonly [tool: string, args: JsonObject, hash: string][] = [
  [
    'notes.list',
    { tag: 'a b', limit: 5, all: false },
    '5b93d5d05b1d1f470733cd2ca95bfc2dd583cdc6e3ddfd4e0a7e0c270d3e9cbb',
  ],
  ['notes.get', { id: 'x@y' }, '05a42574aa2ffbc7ec01472a98fb3d3e41098bfb1030f6309787773e0c6c90a1'],
  [
    'notes.write',
    { id: 'a', text: 'x', lines: ['1'], status: 'open' },
    '6fa6efaaadc842c9f224016a5644f58008d19a3692d8d4a61d36c7a90d628ef1',
  ],
]

async function hashOf(
  tools: string,
  name: string,
  args: JsonObject,
  headers?: Readonly<Record<string, string>>,
): Promise<string> {
  const bundle = await bundleOf({ 'tools.yaml': tools })
  const [tool, upstream] = [bundle.tools.get(name), bundle.upstreams.get('notes')]
  if (!tool || !upstream) throw new Error('no such tool')
  const target = targetOf(bundle, { tool, upstream, args, ...(headers ? { headers } : {}) })
  return effectHash({ target, tool, upstream })
}

describe('what an approval is for', () => {
  for (const [name, args, hash] of HASHES) {
    it(`is what it was before, for ${name} of a file that says nothing new`, async () => {
      expect(await hashOf(OLD, name, args)).to.equal(hash)
    })
  }

  it('changes with each word that an effect depends on, and with what the client sends along', async () => {
    const args = { id: 'a', text: 'x' }
    const write = (more: string) =>
      OLD.replace(
        'path: /notes/{id}\n    effect: write',
        `path: /notes/{id}\n${more}    effect: write`,
      )
    const upstream = (more: string) => OLD.replace(BASE, `${BASE}, ${more}`)
    const credential = (text: string) =>
      OLD.replace('credential: { header: X-K, env: K }', `credential: ${text}`)
    const changed: readonly string[] = [
      OLD,
      write('    body: json\n'),
      write('    body: json\n    content_type: application/merge-patch+json\n'),
      write('    body: form\n'),
      write('    body: multipart\n'),
      write('    body_bytes_max: 1000\n'),
      write('    params: { text: { in: header, name: X-Text } }\n'),
      write('    params: { text: { in: header, name: X-Other } }\n'),
      write('    params: { text: { in: query } }\n'),
      write('    params: { text: { in: body, name: t } }\n'),
      write('    params: { id: { in: path, slash: true } }\n'),
      write('    extra_query: pass\n'),
      write('    response: { redirects: pass }\n'),
      write('    retryable_status: [503]\n'),
      upstream("headers: { X-V: '1' }"),
      upstream("headers: { X-V: '2' }"),
      upstream('pass_headers: [accept]'),
      credential('{ query: key, env: K }'),
      credential('{ query: key, env: L }'),
      credential('{ basic: { user_env: U, password_env: P } }'),
      credential(
        '{ oauth2: { token_url: "http://a.example/t", client_id_env: A, client_secret_env: B } }',
      ),
      credential(
        '{ oauth2: { token_url: "http://b.example/t", client_id_env: A, client_secret_env: B } }',
      ),
      credential(
        '{ oauth2: { token_url: "http://b.example/t", client_id_env: A, client_secret_env: B, scopes: [x] } }',
      ),
    ]
    const hashes = await Promise.all(changed.map((tools) => hashOf(tools, 'notes.write', args)))
    hashes.push(await hashOf(OLD, 'notes.write', args, { 'if-match': '"1"' }))
    hashes.push(await hashOf(OLD, 'notes.write', args, { 'if-match': '"2"' }))
    expect(new Set(hashes).size).to.equal(hashes.length)
  })

  it('does not change with what only callers are told', async () => {
    const args = { id: 'a' }
    const more = '    on_hold: wait\n    return_headers: [x-total]\n    result_ttl_s: 5\n'
    const tools = OLD.replace(
      'path: /notes/{id}\n    effect: write',
      `path: /notes/{id}\n${more}    effect: write`,
    )
    expect(await hashOf(tools, 'notes.write', args)).to.equal(
      await hashOf(OLD, 'notes.write', args),
    )
  })
})
