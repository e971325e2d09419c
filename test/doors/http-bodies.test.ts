import { expect } from 'chai'
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { TestGate, until, type Answer } from '../support/gate.ts'
import { rawOne, rawRequest } from '../support/raw.ts'

const BYTES_MAX = 3_000_000
const TOOLS = `
version: 1
upstreams:
  test: { base_url: '\${TICKETING_API_URL}' }
tools:
  form:
    upstream: test
    method: POST
    path: /form
    effect: write
    body: form
    params: { expand: { in: body, style: deepObject }, ids: { in: body, style: form, explode: false } }
    args:
      type: object
      properties:
        amount: { type: integer }
        live: { type: boolean }
        note: { type: string }
        tags: { type: array, items: { type: string } }
        expand: { type: array, items: { type: string } }
        ids: { type: array, items: { type: integer } }
        metadata: { type: object, additionalProperties: { type: string } }
        items: { type: array, items: { type: object, properties: { price: { type: string }, n: { type: integer } } } }
        trial: { anyOf: [{ enum: [now] }, { type: integer }] }
  upload:
    upstream: test
    method: POST
    path: /upload
    effect: write
    body: multipart
    body_bytes_max: ${BYTES_MAX}
    args:
      type: object
      required: [file]
      properties:
        title: { type: string }
        count: { type: integer }
        meta: { type: object, properties: { a: { type: integer } } }
        file: { type: string, format: binary }
        more: { type: array, items: { type: string, format: binary } }
  held.upload:
    upstream: test
    method: POST
    path: /held
    effect: write
    body: multipart
    args: { type: object, properties: { title: { type: string }, file: { type: string, format: binary } } }
  text: { upstream: test, method: POST, path: /xml, effect: write, body: text, content_type: text/xml, args: { required: [body], properties: { body: { type: string } } } }
  blob: { upstream: test, method: PUT, path: '/blobs/{name}', effect: write, body: raw, args: { required: [name, body], properties: { name: { type: string }, body: { type: string, format: binary } } } }
  pdf: { upstream: test, method: PUT, path: '/pdfs/{name}', effect: write, body: raw, content_type: application/pdf, args: { required: [name, body], properties: { name: { type: string }, body: { type: string, format: binary } } } }
  none: { upstream: test, method: POST, path: /none, effect: write, body: none, args: {} }
  json: { upstream: test, method: POST, path: /json, effect: write, args: { properties: { a: {} } } }
`
const GATE = `
version: 1
environment: test
permissions:
  - { roles: [worker], tools: [form, upload, text, blob, pdf, none, json], effect: allow }
  - { roles: [worker], tools: [held.upload], effect: require_approval }
guards:
  - { id: risky, kind: risk_patterns, patterns: [{ name: codename, pattern: 'blue moon' }] }
rate_limits:
  - { limit: 100000, per_s: 1 }
`
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

describe('What a client sends', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: { 'tools.yaml': TOOLS, 'gate.yaml': GATE } })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
  })

  const jsonOf = async (response: Response): Promise<Answer['body']> =>
    JSON.parse(await response.text())
  const send = (
    route: string,
    body: string | Uint8Array | FormData,
    headers: Record<string, string> = {},
    method: 'POST' | 'PUT' = 'POST',
  ) => {
    const init = { body: body as string, headers: { 'x-api-key': key, ...headers } }
    return fetch(`${gate.gate.url}/proxy/test${route}`, { ...init, method })
  }
  const form = (text: string) =>
    send('/form', text, { 'content-type': 'application/x-www-form-urlencoded' })
  const codeOf = async (response: Response) => [
    response.status,
    (await jsonOf(response)).error?.code,
  ]
  const argsOf = async (response: Response) =>
    (await gate.call('GET', `/actions/${response.headers.get('portcullis-action')}`)).body.request
      .args
  const only = () => {
    const [effect] = gate.upstream.effects
    if (!effect || gate.upstream.effects.length > 1) throw new Error('not exactly one effect')
    return effect
  }
  const spooled = () =>
    fs
      .readdirSync(path.join(gate.dataDir, 'spool'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.includes(path.sep))

  describe('forms', () => {
    it('are typed args, flat and in brackets, and are written in one spelling', async () => {
      const response = await form(
        'amount=100&live=true&note=a+b%26&tags=x&tags=y&expand[]=c&expand%5B%5D=d&ids=1%2C2&metadata[k]=v&items[0][price]=p&items[0][n]=2&items[1][price]=q&trial=now',
      )
      expect(response.status).to.equal(200)
      expect(await argsOf(response)).to.deep.equal({
        amount: 100,
        live: true,
        note: 'a b&',
        tags: ['x', 'y'],
        expand: ['c', 'd'],
        ids: [1, 2],
        metadata: { k: 'v' },
        items: [{ price: 'p', n: 2 }, { price: 'q' }],
        trial: 'now',
      })
      const { headers, body } = only()
      expect(headers['content-type']).to.equal('application/x-www-form-urlencoded')
      expect(decodeURIComponent(body)).to.equal(
        'amount=100&expand[]=c&expand[]=d&ids=1,2&items[0][n]=2&items[0][price]=p&items[1][price]=q&live=true&metadata[k]=v&note=a b&&tags=x&tags=y&trial=now',
      )
      // The same in another spelling is the same request.
      gate.upstream.effects.length = 0
      await form(
        'items[0][n]=2&expand[0]=c&expand[1]=d&trial=now&tags[]=x&tags[]=y&%61mount=100&live=true&note=a%20b%26&ids=1,2&metadata[k]=v&items[0][price]=p&items[1][price]=q',
      )
      expect(only().body).to.equal(body)
    })

    it('are refused where servers would read them differently', async () => {
      for (const text of [
        'amount=1&amount=2',
        'amount=x',
        'amount',
        'amount=%c0%af',
        'amount=%zz',
        'items[][price]=a&items[][n]=1',
        'items[1][price]=a',
        'expand[]=a&expand[0]=b',
        'metadata[k]=a&metadata=b',
        'metadata[k=a',
        'metadata]k[=a',
        '[a]=b',
        'amount=1&&live=true',
        'unknown=1',
        'note=a%00',
      ]) {
        expect(await codeOf(await form(text)), text).to.deep.equal([400, 'invalid_request'])
      }
      expect(gate.upstream.effects).to.deep.equal([])
    })

    it('cannot say what has no spelling there', async () => {
      for (const args of [
        { tags: [] },
        { metadata: {} },
        { metadata: { 'a[b': 'x' } },
        { ids: [] },
      ]) {
        const answer = await gate.act(key, { tool: 'form', args })
        expect([answer.status, answer.body.error?.code], JSON.stringify(args)).to.deep.equal([
          400,
          'invalid_request',
        ])
      }
      expect(gate.upstream.effects).to.deep.equal([])
    })
  })

  describe('uploads', () => {
    const upload = (parts: Record<string, string | Blob>, route = '/upload') => {
      const data = new FormData()
      for (const [name, part] of Object.entries(parts)) {
        if (typeof part === 'string') data.set(name, part)
        else data.set(name, part, 'n\u00e4me "1".bin')
      }
      return send(route, data)
    }

    it('go on as they are, and are seen by what they are', async () => {
      for (const size of [0, 1, 70_000, 1_500_000]) {
        gate.upstream.effects.length = 0
        const bytes = randomBytes(size)
        let seen: Buffer | undefined
        const response = await upload({
          title: 'of \u00e4',
          count: '7',
          meta: '{"a":1}',
          file: new Blob([bytes], { type: 'image/png' }),
        })
        expect(response.status).to.equal(200)
        await response.arrayBuffer()
        expect(await argsOf(response)).to.deep.equal({
          title: 'of \u00e4',
          count: 7,
          meta: { a: 1 },
          file: {
            filename: 'n\u00e4me %221%22.bin',
            content_type: 'image/png',
            bytes: size,
            sha256: sha256(bytes),
          },
        })
        const { headers, body } = only()
        expect(headers['content-type']).to.match(/^multipart\/form-data; boundary=portcullis-/)
        expect(body).to.include(
          'name="file"; filename="n\u00e4me %221%22.bin"\r\nContent-Type: image/png\r\n\r\n',
        )
        seen = Buffer.from(body)
        expect(seen.includes('name="count"\r\n\r\n7\r\n')).to.equal(true)
        await until('its files are gone', () => spooled().length === 0)
      }
    })

    it('reach the upstream byte for byte, however they came in', async () => {
      const bytes = randomBytes(1_200_000)
      const got: Buffer[] = []
      const server = http.createServer((req, res) => {
        req.on('data', (chunk: Buffer) => got.push(chunk))
        req.on('end', () => res.end('{}'))
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      const other = await TestGate.start({
        policies: { 'tools.yaml': TOOLS, 'gate.yaml': GATE },
        env: { TICKETING_API_URL: `http://127.0.0.1:${port}` },
      })
      try {
        const agent = await other.agent('worker-2')
        const data = new FormData()
        data.set('file', new Blob([bytes]), 'a')
        const response = await fetch(`${other.gate.url}/proxy/test/upload`, {
          method: 'POST',
          body: data,
          headers: { 'x-api-key': agent },
        })
        expect(response.status).to.equal(200)
        const whole = Buffer.concat(got)
        const at = whole.indexOf('\r\n\r\n') + 4
        expect(sha256(whole.subarray(at, at + bytes.length))).to.equal(sha256(bytes))
        expect(whole.subarray(at + bytes.length).toString()).to.match(
          /^\r\n--portcullis-[0-9a-f]+--\r\n$/,
        )
      } finally {
        await other.stop()
        server.close()
      }
    })

    const multipart = (text: string, boundary = 'B') =>
      send('/upload', text.replaceAll('\n', '\r\n'), {
        'content-type': `multipart/form-data; boundary=${boundary}`,
      })
    const FILE = '--B\nContent-Disposition: form-data; name="file"; filename="a"\n\nx\n'

    it('are read strictly', async () => {
      expect((await multipart(`${FILE}--B--\n`)).status).to.equal(200)
      expect((await multipart(`${FILE}--B--`)).status).to.equal(200)
      const wrong = [
        ['text before the first part', `hello\n${FILE}--B--\n`],
        ['text behind the last', `${FILE}--B--\nhello`],
        ['no end', FILE],
        ['a part without a name', `${FILE}--B\nContent-Disposition: form-data\n\nx\n--B--\n`],
        [
          'a part that is no field',
          `${FILE}--B\nContent-Disposition: attachment; name="title"\n\nx\n--B--\n`,
        ],
        [
          'a part with another header',
          `${FILE}--B\nContent-Disposition: form-data; name="title"\nX-Extra: 1\n\nx\n--B--\n`,
        ],
        [
          'a part with two of a header',
          `${FILE}--B\nContent-Disposition: form-data; name="title"\nContent-Disposition: form-data; name="count"\n\nx\n--B--\n`,
        ],
        [
          'two names',
          `${FILE}--B\nContent-Disposition: form-data; name="title"; name="count"\n\nx\n--B--\n`,
        ],
        [
          'a backslash in a name',
          `${FILE}--B\nContent-Disposition: form-data; name="ti\\"tle"\n\nx\n--B--\n`,
        ],
        [
          'another encoding',
          `${FILE}--B\nContent-Disposition: form-data; name="title"\nContent-Transfer-Encoding: base64\n\neA==\n--B--\n`,
        ],
        [
          'another charset',
          `${FILE}--B\nContent-Disposition: form-data; name="title"\nContent-Type: text/plain; charset=latin1\n\nx\n--B--\n`,
        ],
        [
          'a field twice',
          `${FILE}--B\nContent-Disposition: form-data; name="title"\n\nx\n--B\nContent-Disposition: form-data; name="title"\n\ny\n--B--\n`,
        ],
        ['a file twice', `${FILE}${FILE}--B--\n`],
        [
          'a file where none is declared',
          `${FILE}--B\nContent-Disposition: form-data; name="title"; filename="t"\n\nx\n--B--\n`,
        ],
        [
          'a text where a file is declared',
          '--B\nContent-Disposition: form-data; name="file"\n\nx\n--B--\n',
        ],
        [
          'an unknown field',
          `${FILE}--B\nContent-Disposition: form-data; name="other"\n\nx\n--B--\n`,
        ],
        [
          'a boundary right behind a head',
          `${FILE}--B\nContent-Disposition: form-data; name="title"\n\n--B--\n`,
        ],
        [
          'a filename with a control character',
          '--B\nContent-Disposition: form-data; name="file"; filename="a\u0001"\n\nx\n--B--\n',
        ],
      ] as const
      gate.upstream.effects.length = 0
      for (const [what, text] of wrong) {
        expect(await codeOf(await multipart(text)), what).to.deep.equal([400, 'invalid_request'])
      }
      expect(await codeOf(await multipart(`${FILE}--B--\n`, '')), 'no boundary').to.deep.equal([
        400,
        'invalid_request',
      ])
      expect(gate.upstream.effects).to.deep.equal([])
      await until('its files are gone', () => spooled().length === 0)
    })

    it('are bounded, with and without a length, and leave nothing behind', async () => {
      const large = new Blob([new Uint8Array(BYTES_MAX)])
      expect(await codeOf(await upload({ file: large }))).to.deep.equal([413, 'payload_too_large'])
      const chunk = Buffer.alloc(100_000, 'x')
      const chunked = Buffer.concat(
        Array.from({ length: 40 }, () =>
          Buffer.concat([
            Buffer.from(`${chunk.length.toString(16)}\r\n`),
            chunk,
            Buffer.from('\r\n'),
          ]),
        ),
      )
      const answer = await rawOne(
        gate.gate.url,
        ...rawRequest(
          'PUT /proxy/test/blobs/a HTTP/1.1',
          [
            'Host: gate',
            `X-API-Key: ${key}`,
            'Content-Type: application/octet-stream',
            'Transfer-Encoding: chunked',
          ],
          Buffer.concat([Buffer.from(''), chunked, Buffer.from('0\r\n\r\n')]),
        ),
      )
      expect(answer.status).to.equal(200) // 25 MiB are allowed there
      await until('its files are gone', () => spooled().length === 0)
      expect(gate.upstream.effects).to.have.length(1)
    })

    it('are looked at by risk patterns: their names, and their text where it is text', async () => {
      const risky = await upload({ file: new Blob(['once in a blue moon']) })
      expect(await codeOf(risky)).to.deep.equal([422, 'risky_content'])
      const binary = await upload({ file: new Blob([Buffer.from([0xff, 0xfe]), 'blue moon']) })
      expect(binary.status).to.equal(200)
      const data = new FormData()
      data.set('file', new Blob(['x']), 'blue moon.txt')
      expect(await codeOf(await send('/upload', data))).to.deep.equal([422, 'risky_content'])
    })

    it('come within JSON through /act, and not by a digest alone', async () => {
      const base64 = Buffer.from('hello').toString('base64')
      const answer = await gate.act(key, {
        tool: 'upload',
        args: { file: { base64, filename: 'a.txt', content_type: 'text/plain' } },
      })
      expect(answer.status, answer.text).to.equal(200)
      expect(only().body).to.include(
        'filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nhello\r\n',
      )
      const { body } = await gate.call('GET', `/actions/${answer.body.action_id}`)
      const { file } = body.request.args
      expect(file).to.deep.equal({
        filename: 'a.txt',
        content_type: 'text/plain',
        bytes: 5,
        sha256: sha256('hello'),
      })
      const named = await gate.act(key, { tool: 'upload', args: { file } })
      expect([named.status, named.body.error?.code]).to.deep.equal([400, 'invalid_request'])
      const broken = await gate.act(key, { tool: 'upload', args: { file: { base64: 'a' } } })
      expect([broken.status, broken.body.error?.code]).to.deep.equal([400, 'invalid_request'])
      expect(gate.upstream.effects).to.have.length(1)
    })

    it('wait with what is held, can be read by whoever decides, and are what is sent', async () => {
      const bytes = randomBytes(1_300_000)
      const data = () => {
        const one = new FormData()
        one.set('title', 'held')
        one.set('file', new Blob([bytes], { type: 'application/pdf' }), 'a.pdf')
        return one
      }
      const response = await send('/held', data())
      expect(response.status).to.equal(202)
      const { approval, action_id: id } = await jsonOf(response)
      const { body: shown } = await gate.call('GET', `/approvals/${approval.id}`)
      expect(shown.files).to.deep.equal([
        {
          n: 0,
          arg: 'file',
          filename: 'a.pdf',
          content_type: 'application/pdf',
          bytes: bytes.length,
          sha256: sha256(bytes),
          url: `/approvals/${approval.id}/files/0`,
        },
      ])
      const download = (n: string, as: string) =>
        fetch(`${gate.gate.url}/approvals/${approval.id}/files/${n}`, {
          headers: { 'x-api-key': as },
        })
      const approver = await gate.key('approver', `pat-${randomBytes(4).toString('hex')}`)
      const got = await download('0', approver)
      expect(got.headers.get('content-disposition')).to.equal("attachment; filename*=UTF-8''a.pdf")
      expect(got.headers.get('x-content-type-options')).to.equal('nosniff')
      expect(sha256(Buffer.from(await got.arrayBuffer()))).to.equal(sha256(bytes))
      expect((await download('1', approver)).status).to.equal(404)
      const observer = await gate.key('observer', `obs-${randomBytes(4).toString('hex')}`)
      expect((await download('0', observer)).status).to.equal(403)
      const stranger = await gate.agent(`stranger-${randomBytes(4).toString('hex')}`)
      expect((await download('0', stranger)).status).to.equal(404)
      // The same again is that one.
      const joined = await jsonOf(await send('/held', data()))
      expect([joined.joined, joined.action_id]).to.deep.equal([true, id])
      expect(gate.upstream.effects).to.deep.equal([])
      await gate.call('POST', `/approvals/${approval.id}/approve`, { body: {} })
      const ended = await gate.call('GET', `/actions/${id}?wait_s=30`)
      expect(ended.body.status, ended.text).to.equal('succeeded')
      expect(only().body).to.include(
        'name="file"; filename="a.pdf"\r\nContent-Type: application/pdf',
      )
      expect((await download('0', approver)).status).to.equal(404)
      await until('its files are gone', () => spooled().length === 0)
    })
  })

  it('takes text as a string that is scanned and never parsed', async () => {
    const xml = '<a>\u00e4</a>'
    const response = await send('/xml', xml, { 'content-type': 'text/xml; charset=UTF-8' })
    expect(response.status).to.equal(200)
    expect(await argsOf(response)).to.deep.equal({ body: xml })
    expect([only().headers['content-type'], only().body]).to.deep.equal([
      'text/xml; charset=utf-8',
      xml,
    ])
    expect(
      await codeOf(await send('/xml', 'blue moon', { 'content-type': 'text/xml' })),
    ).to.deep.equal([422, 'risky_content'])
    expect(
      await codeOf(await send('/xml', Buffer.from([0xff]), { 'content-type': 'text/xml' })),
    ).to.deep.equal([400, 'invalid_request'])
  })

  it('takes bytes of any type where the tool says so, under the type they came with', async () => {
    const response = await send(
      '/blobs/a',
      Buffer.from('abc'),
      { 'content-type': 'image/gif' },
      'PUT',
    )
    expect(response.status).to.equal(200)
    expect((await argsOf(response)).body).to.deep.equal({
      filename: null,
      content_type: 'image/gif',
      bytes: 3,
      sha256: sha256('abc'),
    })
    expect([
      only().headers['content-type'],
      only().headers['content-length'],
      only().body,
    ]).to.deep.equal(['image/gif', '3', 'abc'])
  })

  it('415 names what a route takes; nothing that was not read goes on', async () => {
    const tries = [
      ['POST', '/json', 'a=1', 'application/x-www-form-urlencoded', 'application/json in UTF-8'],
      ['POST', '/json', '{}', 'text/plain', 'application/json in UTF-8'],
      ['POST', '/json', '{}', 'application/json; charset=latin1', 'application/json in UTF-8'],
      ['POST', '/form', '{}', 'application/json', 'application/x-www-form-urlencoded in UTF-8'],
      ['POST', '/upload', '{}', 'application/json', 'multipart/form-data'],
      ['POST', '/xml', 'x', 'text/plain', 'text/xml in UTF-8'],
      ['POST', '/none', '{}', 'application/json', 'no body'],
      ['PUT', '/pdfs/a', 'x', 'image/gif', 'application/pdf'],
    ] as const
    for (const [method, route, body, type, takes] of tries) {
      const response = await send(route, body, { 'content-type': type }, method)
      const answer = await jsonOf(response)
      expect([response.status, answer.error?.code], route).to.deep.equal([
        415,
        'unsupported_media_type',
      ])
      expect(answer.error.message).to.include(`this route takes ${takes}, not`)
    }
    const gzip = await send('/json', '{}', {
      'content-type': 'application/json',
      'content-encoding': 'gzip',
    })
    expect(await codeOf(gzip)).to.deep.equal([415, 'unsupported_media_type'])
    expect(
      (await send('/json', '{"a":1}', { 'content-type': 'application/vnd.x+json' })).status,
    ).to.equal(200)
    expect(gate.upstream.effects).to.have.length(1)
  })

  it('sweeps at start what a gate that was killed left in its spool', async () => {
    const dir = path.join(gate.dataDir, 'spool', '999999999-00000000-0000-0000-0000-000000000000')
    fs.mkdirSync(dir)
    fs.writeFileSync(path.join(dir, 'left'), 'x')
    const { Spool } = await import('../../src/lib/spool.ts')
    const spool = new Spool(path.join(gate.dataDir, 'spool'))
    await spool.start()
    expect(fs.existsSync(dir)).to.equal(false)
    await spool.stop()
    // That of the gate that runs is still there.
    const response = await send('/blobs/a', Buffer.alloc(1_500_000), {}, 'PUT')
    expect(response.status).to.equal(200)
    await response.arrayBuffer()
  })
})
