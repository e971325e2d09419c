import { expect } from 'chai'
import { KINDS } from '../../../src/decide/index.ts'
import { importOpenApi, type ImportOptions } from '../../../src/policy/openapi/import.ts'
import { mergeImport } from '../../../src/policy/openapi/merge.ts'
import { fileText, permissionText } from '../../../src/policy/openapi/render.ts'
import { loadBundle } from '../../../src/policy/index.ts'
import { parseForeign } from '../../../src/sources/foreign.ts'
import type { Json, JsonObject } from '../../../src/model/json.ts'

const GATE = 'version: 1\nenvironment: production\n'

/** Imports a document; what comes of it has to load as `portcullis check` loads it. */
async function imported(document: Json, options: Partial<ImportOptions> = {}) {
  const result = importOpenApi(document, { upstream: 'crm', ...options })
  const text = fileText(result)
  expect(await problems(text), text).to.deep.equal([])
  const tools = Object.fromEntries(result.tools.map(({ name, tool }) => [name, tool]))
  const said = result.findings.map(({ kind, code, where }) => `${kind} ${code} ${where}`.trim())
  return { ...result, result, text, tools, said }
}

async function problems(text: string): Promise<readonly string[]> {
  const files = { 'gate.yaml': GATE, 'tools.yaml': text }
  const loaded = await loadBundle(files, { ...KINDS, env: {}, nowMs: 0 })
  return loaded.ok ? [] : loaded.diagnostics.map(({ code, message }) => `${code}: ${message}`)
}

const v3 = (paths: JsonObject, more: JsonObject = {}): JsonObject => ({
  openapi: '3.0.3',
  info: { title: 'x', version: '1' },
  servers: [{ url: 'https://api.example/v1' }],
  paths,
  ...more,
})
const json = (schema: Json): JsonObject => ({ content: { 'application/json': { schema } } })

describe('importing OpenAPI documents', () => {
  it('says parameters, bodies, servers, security and descriptions as tools.yaml says them', async () => {
    const { tools, upstreams, said } = await imported(
      v3(
        {
          '/contacts/{id}.json': {
            parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }],
            patch: {
              operationId: 'contacts.update',
              summary: 'Changes\n a contact.',
              parameters: [
                { name: 'tag', in: 'query', schema: { type: 'array', items: { type: 'string' } } },
                { name: 'q', in: 'query', schema: { type: 'string', nullable: true } },
                {
                  name: 'filter',
                  in: 'query',
                  style: 'deepObject',
                  schema: { type: 'object', properties: { owner: { type: 'string' } } },
                },
                { name: 'X-Api-Version', in: 'header', schema: { type: 'string' } },
              ],
              requestBody: json({ $ref: '#/components/schemas/Contact' }),
            },
          },
        },
        {
          components: {
            schemas: {
              Contact: {
                type: 'object',
                required: ['email', 'created'],
                properties: {
                  email: { type: 'string', format: 'email', description: 'Where to write.' },
                  id: { type: 'string' },
                  created: { type: 'string', readOnly: true },
                },
              },
            },
            securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
          },
        },
      ),
    )
    expect(said).to.deep.equal([])
    expect(Object.fromEntries(upstreams)).to.deep.equal({
      crm: {
        base_url: '${CRM_URL:-https://api.example/v1}',
        credential: { header: 'Authorization', env: 'CRM_TOKEN', prefix: 'Bearer ' },
      },
    })
    expect(tools).to.deep.equal({
      'contacts.update': {
        description: 'Changes a contact.',
        upstream: 'crm',
        method: 'PATCH',
        path: '/contacts/{id}.json',
        query: ['q'],
        params: {
          tag: { in: 'query' },
          filter: { in: 'query', style: 'deepObject' },
          'X-Api-Version': { in: 'header' },
          id_body: { in: 'body', name: 'id' },
        },
        body: 'json',
        on_hold: 'refused',
        effect: 'write',
        args: {
          type: 'object',
          required: ['id', 'email'],
          properties: {
            id: { type: 'integer' },
            tag: { type: 'array', items: { type: 'string' } },
            q: { type: ['string', 'null'] },
            filter: { type: 'object', properties: { owner: { type: 'string' } } },
            'X-Api-Version': { type: 'string' },
            email: { type: 'string', format: 'email', description: 'Where to write.' },
            id_body: { type: 'string' },
          },
        },
      },
    })
  })

  it('reads Swagger 2 in YAML, with anchors, forms and files', async () => {
    const { tools, upstreams, said } = await imported(
      parseForeign(`
swagger: "2.0"
host: api.example
basePath: /v2/
schemes: [http, https]
consumes: [application/x-www-form-urlencoded]
securityDefinitions: { key: { type: apiKey, in: query, name: api_key } }
paths:
  /charges:
    post:
      operationId: create charge
      parameters:
        - &amount { name: amount, in: formData, type: integer, required: true }
        - { name: ids, in: query, type: array, items: { type: integer }, collectionFormat: csv }
        - { name: api_key, in: query, type: string, required: true }
  /upload:
    put:
      parameters: [*amount, { name: file, in: formData, type: file }]
`),
    )
    expect(said).to.deep.equal([])
    expect(upstreams.get('crm')).to.deep.equal({
      base_url: '${CRM_URL:-https://api.example/v2}',
      credential: { query: 'api_key', env: 'CRM_API_KEY' },
    })
    expect(tools['create_charge']).to.deep.include({
      body: 'form',
      effect: 'irreversible',
      params: { ids: { in: 'query', explode: false } },
    })
    expect(tools['upload.put']).to.deep.include({ body: 'multipart', method: 'PUT' })
    expect(tools['upload.put']?.['args']).to.deep.equal({
      type: 'object',
      required: ['amount'],
      properties: { amount: { type: 'integer' }, file: { type: 'string', format: 'binary' } },
    })
  })

  it('sends a body that is no plain object as one arg, text as text and the rest as a file', async () => {
    const post = (content: JsonObject) => ({ post: { requestBody: { required: true, content } } })
    const { tools } = await imported(
      v3({
        '/list': post({ 'application/json': { schema: { type: 'array', items: {} } } }),
        '/either': post({
          'application/merge-patch+json': {
            schema: { oneOf: [{ type: 'string' }, { type: 'object', properties: { a: {} } }] },
          },
        }),
        '/soap': post({ 'text/xml; charset=utf-8': {} }),
        '/blob': post({ 'image/png': { schema: { type: 'string', format: 'binary' } } }),
        '/none': { post: {} },
      }),
    )
    const words = Object.entries(tools).map(([name, { body, body_arg: arg, content_type: type }]) =>
      [name, body, arg, type].filter((one) => typeof one === 'string').join(' '),
    )
    expect(words).to.deep.equal([
      'list.post json body',
      'either.post json body application/merge-patch+json',
      'soap.post text text/xml',
      'blob.post raw image/png',
      'none.post none',
    ])
  })

  it('guesses effects, says from what, and permits nothing', async () => {
    const { result, text, tools } = await imported(
      v3({
        '/a': { get: {}, put: {}, delete: {}, head: {} },
        '/invoices/{id}/sendMail': { post: {} },
        '/invoices': { post: { operationId: 'search' } },
      }),
    )
    const effects = Object.entries(tools).map(([name, { effect }]) => [name, effect])
    expect(Object.fromEntries(effects)).to.deep.equal({
      'a.get': 'read',
      'a.head': 'read',
      'a.put': 'write',
      'a.delete': 'irreversible',
      'invoices.id.sendMail.post': 'irreversible',
      search: 'write',
    })
    expect(text).to.include('effect irreversible: guessed from POST and the word `send`')
    expect(text).to.match(/^ {2}# x-portcullis: [0-9a-f]{12} from DELETE \/a; effect/m)
    const permissions = permissionText(result, 'crm')
    expect(permissions).to.include('tools: [a.get, a.head]')
    expect(permissions.trim().split('\n')).to.satisfy((lines: string[]) =>
      lines.every((line) => line.startsWith('#')),
    )
  })

  it('names what cannot be said, with the operation and the reason', async () => {
    const { said, tools } = await imported(
      v3({
        '/a/': { get: {} },
        '/a': { get: {} },
        '/b c': { get: {} },
        '/c': {
          trace: {},
          get: { requestBody: { ...json({}), required: true } },
          put: { parameters: [{ $ref: '#/components/parameters/nowhere' }] },
          post: {
            parameters: [
              { name: 'session', in: 'cookie', schema: { type: 'string' } },
              { name: 'X-Request-ID', in: 'header', required: true, schema: { type: 'string' } },
              {
                name: 'deep',
                in: 'query',
                schema: { type: 'array', items: { type: 'object', properties: { a: {} } } },
              },
            ],
          },
        },
        '/d/{x}': { get: {} },
        '/d/{y}': { get: {} },
        '/e/{x}/f': { get: {} },
        '/e/f/{y}': { get: {} },
      }),
    )
    expect(said).to.have.members([
      'left_out route_same GET /a',
      'left_out path GET /b c',
      'left_out method TRACE /c',
      'left_out body_of_get GET /c',
      'left_out unresolved_ref PUT /c',
      'part_left_out cookie POST /c',
      'part_left_out own_header POST /c',
      'part_left_out bad_param POST /c',
      'guessed undeclared_path GET /d/{x}',
      'guessed undeclared_path GET /d/{y}',
      'left_out route_same GET /d/{y}',
      'guessed undeclared_path GET /e/{x}/f',
      'guessed undeclared_path GET /e/f/{y}',
    ])
    expect(Object.keys(tools)).to.deep.equal([
      'a.get_061690e7',
      'c.post',
      'd.x.get',
      'e.x.f.get',
      'e.f.y.get',
    ])
  })

  it('picks by name and by tag without changing any name', async () => {
    const paths = {
      '/contacts': { get: { tags: ['a'] }, post: { tags: ['b'] } },
      '/deals': { get: { tags: ['a'] } },
    }
    const names = async (options: Partial<ImportOptions>) =>
      Object.keys((await imported(v3(paths), options)).tools)
    expect(await names({ only: 'contacts.*' })).to.deep.equal(['contacts.get', 'contacts.post'])
    expect(await names({ tag: 'a' })).to.deep.equal(['contacts.get', 'deals.get'])
    expect(await names({ tag: 'a', only: 'deals*' })).to.deep.equal(['deals.get'])
  })

  it('tells names apart that collide, the same way whatever stands around them', async () => {
    const op = (operationId: string) => ({ operationId })
    const paths = {
      '/a': { get: op('list things'), post: op('llm.chat') },
      '/b': { get: op('list-things'), post: op('List things') },
      '/c-d': { get: op('__proto__') },
      '/c_d': { get: op('constructor') },
      '/9': { get: op('9') },
      '/': { get: op('...') },
    }
    const reserved = new Set(['llm.chat'])
    const { tools } = await imported(v3(paths), { reserved })
    const names = Object.keys(tools)
    expect(names).to.deep.equal([
      'a.get',
      'a.post',
      'list-things',
      'b.post',
      'proto',
      'constructor',
      'op_9',
      'get',
    ])
    const backwards = Object.fromEntries(Object.entries(paths).reverse())
    const again = await imported(v3(backwards), { reserved })
    expect(Object.keys(again.tools)).to.have.members(names)
  })

  it('reads files beside the document and none elsewhere', async () => {
    const asked: string[] = []
    const beside = (file: string): Json | undefined => {
      asked.push(file)
      if (file === 'parts/a.yaml') return { A: { $ref: 'b.json#/B' } }
      return file === 'parts/b.json'
        ? { B: { type: 'object', properties: { n: { type: 'integer' } } } }
        : undefined
    }
    const body = ($ref: string) => ({ post: { requestBody: json({ $ref }) } })
    const { tools, said } = await imported(
      v3({
        '/a': body('./parts/a.yaml#/A'),
        '/b': body('../../etc/passwd'),
        '/c': body('http://elsewhere.example/x.json#/A'),
        '/d': body('/etc/passwd'),
        '/e': body('parts/..%2f..%2fsecret.yaml'),
      }),
      { beside },
    )
    expect(asked).to.deep.equal(['parts/a.yaml', 'parts/b.json'])
    expect(tools['a.post']?.['args']).to.deep.equal({
      type: 'object',
      properties: { n: { type: 'integer' } },
    })
    expect(said.filter((one) => one.startsWith('widened unresolved_ref'))).to.have.length(4)
  })

  it('does not send its credential to a host that only one operation names', async () => {
    const { upstreams, said } = await imported(
      v3(
        { '/a': { get: {}, put: { servers: [{ url: 'https://other.example' }] } } },
        { components: { securitySchemes: { k: { type: 'http', scheme: 'basic' } } } },
      ),
    )
    expect([...upstreams.keys()]).to.deep.equal(['crm', 'crm_2'])
    expect(upstreams.get('crm')).to.have.property('credential')
    expect(upstreams.get('crm_2')).to.deep.equal({
      base_url: '${CRM_2_URL:-https://other.example}',
    })
    expect(said).to.deep.equal(['todo own_server'])
  })

  describe('of hostile documents', () => {
    const schemas = (all: JsonObject, name = 'A') =>
      v3(
        { '/x': { post: { requestBody: json({ $ref: `#/components/schemas/${name}` }) } } },
        { components: { schemas: all } },
      )

    it('ends where references go in circles', async () => {
      const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
      const circles = [
        { A: ref('A') },
        { A: ref('B'), B: ref('A') },
        {
          A: { type: 'object', properties: { a: ref('A'), b: { type: 'array', items: ref('A') } } },
        },
        { A: { allOf: [ref('A'), ref('B')] }, B: { anyOf: [ref('A'), ref('B')] } },
        { A: { type: 'object', additionalProperties: ref('A') } },
        { A: { type: 'array', items: ref('A') } },
      ]
      for (const circle of circles)
        expect((await imported(schemas(circle))).tools).to.have.keys('x.post')
      const path = { '/x': { $ref: '#/paths/~1x' } }
      expect((await imported(v3(path))).tools).to.deep.equal({})
    })

    it('stays small where a schema doubles at each step', async () => {
      const all = Object.fromEntries(
        Array.from({ length: 40 }, (_, n) => {
          const next = { $ref: `#/components/schemas/S${n + 1}` }
          return [`S${n}`, { type: 'object', properties: { a: next, b: next, c: next } }]
        }),
      )
      const { text } = await imported(schemas({ ...all, S40: { type: 'string' } }, 'S0'))
      expect(text.length).to.be.below(40_000)
    })

    it('takes `__proto__` for a name like any other that cannot be said', async () => {
      const document = JSON.parse(`{"openapi":"3.1.0","paths":{
        "/__proto__/{__proto__}":{"post":{"parameters":[
          {"name":"__proto__","in":"path","required":true,"schema":{"type":"string"}},
          {"name":"__proto__","in":"query","schema":{"type":"string"}}],
          "requestBody":{"content":{"application/json":{"schema":{"type":"object","required":["__proto__"],
            "properties":{"__proto__":{"type":"string"},"constructor":{"type":"string"},
            "b":{"properties":{"__proto__":{},"<<":{},"":{}}}}}}}}}},
        "__proto__":{"get":{}}}}`) as Json
      const { said, tools } = await imported(document)
      expect(Object.keys(tools).length + said.length).to.be.above(1)
      expect(JSON.stringify(tools)).to.not.include('"__proto__":')
      expect(({} as Record<string, unknown>)['type']).to.equal(undefined)
    })

    it('takes values of any type in any place', async () => {
      const odd: readonly Json[] = [
        null,
        true,
        7,
        '',
        'x',
        [],
        [null],
        {},
        { $ref: 7 },
        { $ref: '#/a%zz' },
      ]
      const whole = v3({
        '/x/{id}': {
          parameters: [{ name: 'id', in: 'path', schema: { type: 'string', enum: ['a'] } }],
          post: {
            operationId: 'x',
            tags: ['a'],
            parameters: [{ name: 'q', in: 'query', schema: { type: 'integer', minimum: 1 } }],
            requestBody: json({
              type: 'object',
              properties: { a: { allOf: [{ type: 'string' }] } },
            }),
          },
        },
      })
      for (const path of pathsIn(whole)) {
        for (const value of odd)
          await imported(withAt(whole, path, value) as JsonObject).catch(onlyRefused)
      }
    }).timeout(120_000)

    it('holds numbers, patterns and texts that YAML or RE2 would not', async () => {
      const { text, said } = await imported(
        schemas({
          A: {
            type: 'object',
            properties: {
              big: { type: 'integer', maximum: 2 ** 63, enum: [2 ** 63] },
              ahead: { type: 'string', pattern: '^(?=a)b' },
              words: {
                type: 'string',
                enum: ['on', 'null', '007', '~', '', ' ', '\u0000', '*a', 1],
              },
              '*x: #': { type: 'string', description: 'a: b\n# c\u2028\u202e' },
              'y\nz': { type: 'string' },
              ['k'.repeat(190)]: { type: 'string' },
            },
          },
        }),
      )
      expect(said.map((one) => one.split(' ')[1])).to.have.members(['pattern', 'enum'])
      expect(text).to.not.include('\u202e')
    })

    it('imports ten thousand operations, and leaves out what one file does not hold', async () => {
      const paths = Object.fromEntries(
        Array.from({ length: 10_000 }, (_, n) => [`/things${n}/{id}`, { get: {} }]),
      )
      const result = importOpenApi(v3(paths), { upstream: 'crm' })
      expect(result.operations).to.equal(10_000)
      expect(await problems(fileText(result))).to.deep.equal([])
      const lost = result.findings.filter(({ code }) => code === 'too_large').length
      expect(result.tools.length + lost).to.equal(10_000)
    }).timeout(300_000)

    it('refuses what is no document, and text that is too deep or doubles itself', () => {
      for (const value of [null, 7, [], {}, { openapi: '4.0.0' }, { swagger: '1.2' }] as Json[]) {
        expect(() => importOpenApi(value, { upstream: 'crm' })).to.throw('neither OpenAPI')
      }
      expect(() => parseForeign('['.repeat(100_000))).to.throw('nested deeper')
      const bomb = Array.from(
        { length: 30 },
        (_, n) => `a${n}: &a${n} [${n ? `*a${n - 1},*a${n - 1}` : 1}]`,
      )
      expect(() => parseForeign(bomb.join('\n'))).to.throw('neither JSON nor YAML')
      expect(() => parseForeign('a: &a [*a]')).to.throw('neither JSON nor YAML')
      expect(() => parseForeign('a: [')).to.throw('neither JSON nor YAML')
    })
  })

  describe('a second time', () => {
    const first = v3({ '/a': { get: {} }, '/b': { get: {} }, '/c': { get: {} }, '/d': { get: {} } })
    const second = v3({
      '/a': { get: { summary: 'now described' } },
      '/b': { get: { summary: 'now described' } },
      '/d': { get: {} },
      '/e': { get: {} },
    })
    const options = { upstream: 'crm' }

    it('follows the document, and keeps what a person changed, wrote or renamed', async () => {
      const before = (await imported(first)).text
        .replace('path: /b\n', 'path: /b\n    cost: "0.01" # mine\n')
        .replace('  d.get:', '  d.mine:')
        .concat(
          '\n  # by hand\n  own: { upstream: crm, method: PUT, path: /own, effect: write, args: {} }\n',
        )
      const merged = mergeImport(before, importOpenApi(second, options))
      expect(await problems(merged.text)).to.deep.equal([])
      const { added, changed, removed, kept } = merged
      expect({ added, changed, removed, kept }).to.deep.equal({
        added: ['e.get'],
        changed: ['a.get'],
        removed: ['c.get'],
        kept: ['b.get'],
      })
      expect(merged.text).to.include('cost: "0.01" # mine').and.include('# by hand\n  own: {')
      const again = mergeImport(merged.text, importOpenApi(second, options))
      expect(again.text).to.equal(merged.text)
    })

    it('removes nothing that was only not asked for', async () => {
      const before = (await imported(first)).text
      const merged = mergeImport(before, importOpenApi(first, { ...options, only: 'a.*' }))
      expect(merged.text).to.equal(before)
    })

    it('adds to a file that has tools of other upstreams, or none', async () => {
      const others = [
        'version: 1\nupstreams: {}\ntools: {}\n',
        `version: 1
upstreams:
    other: { base_url: 'https://o.example' }
tools:
    o: { upstream: other, method: GET, path: /a, effect: read, args: {} }`,
      ]
      for (const other of others) {
        const { text } = mergeImport(other, importOpenApi(first, options))
        expect(await problems(text), text).to.deep.equal([])
        expect(text).to.include('a.get:').and.include('d.get:')
      }
      const flow = 'version: 1\nupstreams: { a: {} }\ntools: {}\n'
      expect(() => mergeImport(flow, importOpenApi(first, options))).to.throw('not a list of lines')
      expect(() => mergeImport('a: [', importOpenApi(first, options))).to.throw('does not parse')
    })
  })
})

type Path = readonly (string | number)[]

function* pathsIn(value: Json, path: Path = []): Iterable<Path> {
  if (path.length > 0) yield path
  if (Array.isArray(value)) {
    for (const [n, one] of (value as readonly Json[]).entries()) yield* pathsIn(one, [...path, n])
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) yield* pathsIn(one, [...path, name])
  }
}

function withAt(value: Json, [step, ...rest]: Path, put: Json): Json {
  if (step === undefined) return put
  if (Array.isArray(value)) {
    return (value as readonly Json[]).map((one, n) => (n === step ? withAt(one, rest, put) : one))
  }
  const object = value as JsonObject
  return { ...object, [step]: withAt(object[step] ?? null, rest, put) }
}

function onlyRefused(error: unknown): void {
  expect(String(error)).to.include('neither OpenAPI')
}
