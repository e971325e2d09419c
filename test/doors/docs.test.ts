import { Validator } from '@seriousme/openapi-schema-validator'
import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { endpointGroups } from '../../src/doors/app.ts'
import type { HttpParts } from '../../src/doors/edge/parts.ts'
import { SEED_ALIASES } from '../../src/doors/api/seed-aliases.ts'
import { TestGate } from '../support/gate.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')

describe('the API reference', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({ env: { PUBLIC_SERVER_URL: 'https://gate.example' } })
  })
  after(() => gate.stop())

  const document = async () => (await gate.call('GET', '/openapi.json', { key: null })).body

  it('is a valid OpenAPI 3.1 document', async () => {
    const result = await new Validator().validate(await document())
    expect(result.errors ?? []).to.deep.equal([])
    expect(result.valid).to.equal(true)
  })

  it('has every call there is and every path of the seeds, each with its own id', async () => {
    const { paths, servers, components } = await document()
    expect(servers).to.deep.equal([{ url: 'https://gate.example' }])
    expect(components.securitySchemes).to.have.all.keys('apiKey', 'bearer')
    const brace = (at: string) => at.replaceAll(/[:*](\w+)/g, '{$1}')
    const groups = endpointGroups({ config: {} } as HttpParts)
    const calls = groups
      .flatMap(({ table }) => table)
      .filter((call) => !call.path.startsWith('/docs/'))
    for (const { path: at, method } of calls) expect(paths[brace(at)], at).to.have.property(method)
    for (const { from, method } of SEED_ALIASES) {
      expect(paths[brace(from)], from).to.have.property(method.toLowerCase())
    }
    const operations = Object.values<Record<string, { operationId: string }>>(paths).flatMap(
      (item) => Object.values(item),
    )
    const ids = operations.map(({ operationId }) => operationId)
    expect(new Set(ids).size).to.equal(ids.length)
  })

  it('says what is refused: its schemas are the ones that requests are checked by', async () => {
    const { paths } = await document()
    const { schema } = paths['/api/v1/agents'].post.requestBody.content['application/json']
    expect(schema.required).to.deep.equal(['name'])
    expect(schema.additionalProperties).to.equal(false)
    const answer = await gate.call('POST', '/api/v1/agents', { body: { nome: 'x' } })
    expect(answer.status).to.equal(400)
    expect(paths['/act'].post.responses).to.include.keys(
      '200',
      '202',
      '403',
      '422',
      '429',
      '503',
      '504',
    )
    expect(paths['/healthz'].get.security).to.deep.equal([])
  })

  it('is exported to docs/openapi.yaml as it is', () => {
    const exported = parse(fs.readFileSync(path.join(ROOT, 'docs', 'openapi.yaml'), 'utf8'))
    expect(exported.openapi).to.equal('3.1.0')
    const check = spawnSync(process.execPath, ['ops/export-openapi.mjs', '--check'], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, PUBLIC_SERVER_URL: '' },
    })
    expect([check.status, check.stderr]).to.deep.equal([0, ''])
  })

  it('has a page that loads nothing from elsewhere', async () => {
    const page = await fetch(`${gate.gate.url}/docs`)
    expect(page.headers.get('content-security-policy')).to.include("default-src 'none'")
    const html = await page.text()
    expect(html).to.not.match(/(?:src|href)="(?:https?:)?\/\//)
    for (const [, asset] of html.matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g)) {
      const answer = await fetch(`${gate.gate.url}${asset}`)
      expect(answer.status, asset).to.equal(200)
      expect(answer.headers.get('content-type')).to.match(/charset=utf-8/)
      expect((await answer.text()).length).to.be.greaterThan(100)
    }
  })
})
