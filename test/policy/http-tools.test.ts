import { expect } from 'chai'
import { loadBundle } from '../../src/policy/index.ts'
import { bundleOf, OPTIONS, sampleFiles, TOOLS } from './sample.ts'

const UPSTREAM = "notes: { base_url: 'http://127.0.0.1:9999/api' }"
const withUpstream = (more: string) =>
  TOOLS.replace(UPSTREAM, `notes: { base_url: 'http://127.0.0.1:9999/api', ${more} }`)
const withTool = (text: string, path = '/x') =>
  `${TOOLS}  x.call: { upstream: notes, method: POST, path: '${path}', effect: write, ${text} }\n`
const args = (properties: string, required = '') =>
  `args: { type: object, properties: { ${properties} }, required: [${required}] }`

/** Codes and places of what is wrong with a file of tools. */
async function findings(tools: string): Promise<string[]> {
  const result = await loadBundle(sampleFiles({ 'tools.yaml': tools }), OPTIONS)
  if (result.ok) return []
  return result.diagnostics.map(({ code, message }) => `${code}: ${message}`)
}

describe('tools.yaml: how a call is made', () => {
  it('takes every word there is', async () => {
    const bundle = await bundleOf({
      'tools.yaml': withUpstream(
        `headers: { Notion-Version: '2025-09-03' }, pass_headers: [accept, if-match],
         credential: { oauth2: { token_url: 'https://id.example/token', client_id_env: ID, client_secret_env: SECRET, scopes: [a, b], audience: x } },
         idle_timeout_ms: 1000, total_timeout_ms: 2000`,
      ).concat(`
  contacts.search:
    upstream: notes
    method: POST
    path: /contacts/{id}.json
    params:
      id: { in: path }
      tag: { in: query, explode: true }
      ids: { in: query, explode: false, style: pipeDelimited }
      since: { in: query, name: 'created[gte]' }
      filter: { in: query, style: deepObject }
      version: { in: header, name: X-Api-Version }
      kind: { in: body, name: type }
    extra_query: pass
    body: json
    content_type: application/merge-patch+json
    body_bytes_max: 2000000
    response: { stream: never, bytes_max: 1000, redirects: refuse }
    retryable_status: [429, 503]
    return_headers: [X-Total]
    on_hold: wait
    wait_s: 5
    result_ttl_s: 60
    effect: write
    args:
      type: object
      required: [id]
      properties:
        id: { type: integer, format: int64, example: 7 }
        tag: { type: array, items: { type: string } }
        ids: { type: array, items: { type: integer } }
        since: { type: integer, nullable: true }
        filter: { type: object, properties: { a: { type: string, deprecated: true } } }
        version: { type: string }
        kind: { type: string, x-note: 1 }
`),
    })
    const http = bundle.tools.get('contacts.search')?.http
    expect(http).to.deep.include({
      body: 'json',
      contentType: 'application/merge-patch+json',
      extraQuery: true,
      response: { stream: 'never', bytesMax: 1000, redirects: 'refuse' },
      retryableStatus: [429, 503],
      returnHeaders: ['x-total'],
      onHold: 'wait',
      waitMs: 5000,
      resultTtlMs: 60_000,
    })
    expect(http?.params.map(({ arg, in: at, name }) => `${arg} ${at} ${name}`)).to.deep.equal([
      'id path id',
      'tag query tag',
      'ids query ids',
      'since query created[gte]',
      'filter query filter',
      'version header X-Api-Version',
      'kind body type',
    ])
  })

  const wrong: [what: string, tools: string, finding: RegExp][] = [
    [
      'an arg that is not there',
      withTool(`params: { nope: { in: query } }, ${args('')}`),
      /no_such_arg/,
    ],
    [
      'a variable the path has not',
      withTool(
        `params: { a: { in: path, name: b } }, ${args('a: { type: string }', 'a')}`,
        '/x/{a}',
      ),
      /bad_path_param.*no `\{b\}`/,
    ],
    [
      'an arg in two places',
      withTool(
        `query: [a], params: { a: { in: header, name: X-A } }, ${args('a: { type: string }')}`,
      ),
      /bad_query_arg/,
    ],
    [
      'two args of one name',
      withTool(
        `params: { a: { in: query }, b: { in: query, name: a } }, ${args('a: { type: string }, b: { type: string }')}`,
      ),
      /bad_param/,
    ],
    [
      'a style of another place',
      withTool(`params: { a: { in: query, style: simple } }, ${args('a: { type: string }')}`),
      /bad_param.*style/,
    ],
    [
      'an object in a style for lists',
      withTool(`params: { a: { in: query } }, ${args('a: { type: object }')}`),
      /not_supported_yet/,
    ],
    [
      'a header of the gate’s own',
      withTool(`params: { a: { in: header, name: Host } }, ${args('a: { type: string }')}`),
      /bad_param.*Host/,
    ],
    [
      '`slash` within a segment',
      withTool(
        `params: { a: { in: path, slash: true } }, ${args('a: { type: string }', 'a')}`,
        '/x/{a}.json',
      ),
      /bad_path_param/,
    ],
    [
      'two variables side by side',
      withTool(args('a: { type: string }, b: { type: string }', 'a, b'), '/x/{a}{b}'),
      /bad_path_template/,
    ],
    ['an arg without a place', withTool(`body: none, ${args('a: { type: string }')}`), /no_place/],
    ['text without a body', withTool(`body: text, ${args('')}`), /no_such_arg/],
    [
      'a raw body that is no file',
      withTool(`body: raw, ${args('body: { type: string }')}`),
      /bad_body/,
    ],
    ['`wait_s` without a wait', withTool(`wait_s: 5, ${args('')}`), /bad_hold/],
    [
      'a parsed body too large to hold',
      withTool(`body: json, body_bytes_max: 1000000000, ${args('')}`),
      /bad_body/,
    ],
    [
      'a format that is nearly one',
      withTool(args('a: { type: string, format: emial }')),
      /bad_schema/,
    ],
    [
      'a credential of two kinds',
      withUpstream('credential: { header: X-K, query: k, env: K }'),
      /bad_credential/,
    ],
    [
      'a credential without its variable',
      withUpstream('credential: { query: k }'),
      /bad_credential/,
    ],
    [
      'a token server that is no URL',
      withUpstream(
        "credential: { oauth2: { token_url: 'x', client_id_env: A, client_secret_env: B } }",
      ),
      /bad_credential/,
    ],
    [
      'a fixed header of the gate’s own',
      withUpstream('headers: { Transfer-Encoding: chunked }'),
      /bad_header/,
    ],
    [
      'a fixed header where the credential goes',
      withUpstream("headers: { X-K: '1' }, credential: { header: X-K, env: K }"),
      /bad_header/,
    ],
    [
      'a client that would say who it is',
      withUpstream('pass_headers: [authorization]'),
      /bad_header/,
    ],
    ['an unknown word', withTool(`bdy: json, ${args('')}`), /unknown_key/],
  ]
  for (const [what, tools, finding] of wrong) {
    it(`does not take ${what}`, async () => {
      expect((await findings(tools)).join('\n')).to.match(finding)
    })
  }

  it('tells paths apart that differ in the text beside a variable, and reports those that are one', async () => {
    const tool = (name: string, path: string) =>
      `  ${name}: { upstream: notes, method: GET, path: '${path}', effect: read, ${args('a: { type: string }, b: { type: string }', path.includes('{b}') ? 'a, b' : path.includes('{a}') ? 'a' : '')} }\n`
    const both = (one: string, other: string) =>
      findings(TOOLS + tool('q.a', one) + tool('q.b', other))
    for (const [one, other] of [
      ['/v/{a}.json', '/v/{a}.xml'],
      ['/v/{a}:run', '/v/{a}:stop'],
      ['/v/{a}.json', '/v/{a}'],
      ['/v/{a}:{b}', '/v/{a}:run'],
      ['/v/{a}.json', '/v/all.json'],
      ['/v/{a}.json', '/v/x{a}'],
      ['/v/{a}/b', '/v/b/{a}'],
      ['/v/{a}/', '/v/b'],
    ] as const) {
      expect(await both(one, other), `${one} ${other}`).to.deep.equal([])
    }
    for (const [one, other] of [
      ['/v/{a}.json', '/v/{b}.json'],
      ['/v/{a}:run', '/V/{a}:RUN'],
      ['/v/{a}/', '/v/{a}'],
    ] as const) {
      expect(
        (await both(one.replace('{b}', '{a}'), other.replace('{b}', '{a}'))).join(),
        `${one} ${other}`,
      ).to.match(/route_collision/)
    }
  })
})
