import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { signManifest, type SignedManifest } from '../../src/lib/manifest.ts'
import type { JsonObject } from '../../src/model/json.ts'
import { scratch } from '../support/scratch.ts'
import { TestGate, type Answer } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('templates, spawning and signed manifests', () => {
  const dir = scratch('manifests')
  const trusted = generateKeyPairSync('ed25519')
  const stranger = generateKeyPairSync('ed25519')
  let gate: TestGate
  before(async () => {
    const file = path.join(dir, 'trusted.pem')
    fs.writeFileSync(file, trusted.publicKey.export({ type: 'spki', format: 'pem' }))
    gate = await TestGate.start({ env: { MANIFEST_TRUSTED_KEYS: file } })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const codeOf = ({ status, body }: Answer) => [status, body.error?.code]
  const spawn = (body: object) => gate.call('POST', '/api/v1/agents/spawn', { body })
  const template = (body: object) => gate.call('POST', '/api/v1/templates', { body })
  const signed = (manifest: JsonObject, key: KeyObject = trusted.privateKey) =>
    signManifest(manifest, key)
  const manifestOf = (name: string, version: number, more: JsonObject = {}): JsonObject => ({
    name,
    manifest_version: version,
    profile: 'illuvrse',
    roles: ['worker'],
    ...more,
  })

  describe('templates', () => {
    it('get a new version each time, and keep the old ones', async () => {
      const first = await template({ name: 'bot', config: { roles: ['a'], monthly_budget: 5 } })
      expect([first.status, first.body.template.version]).to.deep.equal([201, 1])
      const second = await template({ name: 'bot', description: 'v2', config: { roles: ['b'] } })
      expect(second.body.template.version).to.equal(2)
      await template({ name: 'other', config: {} })
      const { body } = await gate.call('GET', '/api/v1/templates')
      const listed = body.templates.map((one: JsonObject) => [one['name'], one['version']])
      expect(listed).to.deep.equal([
        ['bot', 2],
        ['other', 1],
      ])
      const all = await gate.call('GET', '/api/v1/templates?name=bot')
      expect(all.body.templates).to.have.length(2)
      const old = await gate.call('GET', '/api/v1/templates/bot?version=1')
      expect(old.body.template.config).to.deep.equal({ roles: ['a'], monthly_budget: 5 })
      const none = await gate.call('GET', '/api/v1/templates/bot?version=9')
      expect(codeOf(none)).to.deep.equal([404, 'not_found'])
    })

    it('400 for a configuration no agent could have', async () => {
      for (const config of [{ colour: 1 }, { monthly_budget: 'x' }, { roles: 'a' }]) {
        expect(codeOf(await template({ name: 'bad', config }))).to.deep.equal([
          400,
          'invalid_request',
        ])
      }
    })
  })

  describe('spawning', () => {
    it('makes an agent that acts once it is started, with its key', async () => {
      const answer = await spawn({
        agent_config: {
          name: 'demo',
          profile: 'personal',
          roles: ['worker'],
          metadata: { owner: 'ryan' },
        },
      })
      expect(answer.status).to.equal(201)
      expect(answer.body).to.include({ ok: true, status: 'initializing' })
      expect(answer.body.agent).to.deep.include({ id: answer.body.agent_id, owner: 'ryan' })
      const key = answer.body.api_key
      expect(codeOf(await gate.act(key, UPDATE))).to.deep.equal([403, 'agent_paused'])
      await gate.call('POST', '/api/v1/agents/demo/activate', { key })
      expect((await gate.act(key, UPDATE)).status).to.equal(200)
    })

    it('takes a template, this version or the newest, and what is given over it', async () => {
      await template({ name: 'base', config: { roles: ['a'], owner: 'o', metadata: { k: 1 } } })
      await template({ name: 'base', config: { roles: ['b'], owner: 'o', metadata: { k: 2 } } })
      const newest = await spawn({ template: 'base', agent_config: { name: 's-1', owner: 'p' } })
      expect(newest.body.agent).to.deep.include({ roles: ['b'], owner: 'p', template: 'base@2' })
      expect(newest.body.agent.properties).to.deep.equal({ k: 2 })
      const old = await spawn({
        template: 'base',
        template_version: 1,
        agent_config: { name: 's-2' },
      })
      expect(old.body.agent).to.deep.include({ roles: ['a'], template: 'base@1' })
      expect(codeOf(await spawn({ template: 'base' }))).to.deep.equal([400, 'invalid_request'])
      expect(codeOf(await spawn({ template: 'none' }))).to.deep.equal([404, 'not_found'])
      const taken = await spawn({ agent_config: { name: 's-1' } })
      expect(codeOf(taken)).to.deep.equal([409, 'conflict'])
    })
  })

  describe('manifests', () => {
    it('make an agent when a trusted key signed them', async () => {
      const answer = await spawn({
        agent_config: { name: 'm-1', profile: 'illuvrse' },
        signed_manifest: signed(manifestOf('m-1', 1, { owner: 'kernel' })),
      })
      expect(answer.status, answer.text).to.equal(201)
      expect(answer.body.agent).to.deep.include({ owner: 'kernel', profile: 'illuvrse' })
      expect(answer.body.agent.manifest_hash).to.match(/^[0-9a-f]{64}$/)
    })

    it('403 invalid_signature without one where the profile demands it, whichever way it comes', async () => {
      const config = { name: 'm-2', profile: 'illuvrse' }
      const refused = [
        await spawn({ agent_config: config }),
        await gate.call('POST', '/api/v1/agents', { body: config }),
        await gate.call('POST', '/api/v1/agents/import', { body: [config] }),
        await gate.call('PATCH', '/api/v1/agents/demo', { body: { profile: 'illuvrse' } }),
      ]
      await template({ name: 'kernel', config: { profile: 'illuvrse' } })
      refused.push(await spawn({ template: 'kernel', agent_config: { name: 'm-2' } }))
      for (const [at, answer] of refused.entries()) {
        // An import answers for its rows together.
        const expected = at === 2 ? [400, 'invalid_request'] : [403, 'invalid_signature']
        expect(codeOf(answer), String(at)).to.deep.equal(expected)
        expect(answer.text).to.include('signed manifest')
      }
    })

    it('are refused with any byte changed', async () => {
      const good = signed(manifestOf('m-3', 1, { owner: 'kernel', monthly_budget: '10' }))
      const text = JSON.stringify(good)
      let refusedBySignature = 0
      for (let at = 0; at < text.length; at++) {
        const other = text.charCodeAt(at) === 0x61 ? 'b' : 'a'
        const changed = parse(`${text.slice(0, at)}${other}${text.slice(at + 1)}`)
        if (!changed) continue // no longer JSON
        const answer = await spawn({ signed_manifest: changed })
        expect([400, 403], `byte ${at}: ${answer.text}`).to.include(answer.status)
        if (answer.body.error.code === 'invalid_signature') refusedBySignature++
      }
      expect(refusedBySignature).to.be.greaterThan(100)
      expect((await spawn({ signed_manifest: good })).status).to.equal(201)
    })

    it('are refused from a key that is not trusted, with a borrowed key id too', async () => {
      const foreign = signed(manifestOf('m-4', 1), stranger.privateKey)
      const untrusted = await spawn({ signed_manifest: foreign })
      expect(codeOf(untrusted)).to.deep.equal([403, 'invalid_signature'])
      const { key_id: borrowed } = signed(manifestOf('m-4', 1))
      const lying = await spawn({ signed_manifest: { ...foreign, key_id: borrowed } })
      expect(codeOf(lying)).to.deep.equal([403, 'invalid_signature'])
    })

    it('cover the whole configuration: nothing can be slipped in beside them', async () => {
      const manifest = signed(manifestOf('m-5', 1))
      for (const more of [
        { roles: ['admin'] },
        { owner: 'me' },
        { name: 'm-6' },
        { monthly_budget: 9 },
      ]) {
        const answer = await spawn({
          agent_config: { name: 'm-5', ...more },
          signed_manifest: manifest,
        })
        expect(codeOf(answer), JSON.stringify(more)).to.deep.equal([403, 'invalid_signature'])
      }
    })

    it('are refused when they have expired, or say what no agent can be', async () => {
      const expired = signed(manifestOf('m-7', 1, { expires_at: '2020-01-01T00:00:00Z' }))
      expect(codeOf(await spawn({ signed_manifest: expired }))).to.deep.equal([
        403,
        'invalid_signature',
      ])
      for (const manifest of [
        manifestOf('m-7', 0),
        { name: 'm-7' },
        manifestOf('m-7', 1, { colour: 'red' }),
      ]) {
        const answer = await spawn({ signed_manifest: signed(manifest) })
        expect(codeOf(answer)).to.deep.equal([400, 'invalid_request'])
      }
    })

    it('go up only: an older one is a replay, even when the agent is gone', async () => {
      const versions = [1, 2, 3].map((n) => signed(manifestOf('m-8', n, { owner: `v${n}` })))
      const [v1, v2, v3] = versions as [SignedManifest, SignedManifest, SignedManifest]
      expect((await spawn({ signed_manifest: v2 })).status).to.equal(201)
      expect(codeOf(await spawn({ signed_manifest: v1 }))).to.deep.equal([403, 'manifest_replayed'])
      const put = (manifest: SignedManifest) =>
        gate.call('PUT', '/api/v1/agents/m-8/manifest', { body: { signed_manifest: manifest } })
      expect((await put(v3)).body.agent.owner).to.equal('v3')
      expect(codeOf(await put(v2))).to.deep.equal([403, 'manifest_replayed'])
      const other = signed(manifestOf('m-8', 3, { owner: 'forked' }))
      expect(codeOf(await put(other))).to.deep.equal([403, 'manifest_replayed'])
      const edit = await gate.call('PATCH', '/api/v1/agents/m-8', { body: { roles: ['admin'] } })
      expect(codeOf(edit)).to.deep.equal([409, 'conflict'])
      await gate.call('DELETE', '/api/v1/agents/m-8')
      expect(codeOf(await spawn({ signed_manifest: v2 }))).to.deep.equal([403, 'manifest_replayed'])
      expect((await spawn({ signed_manifest: v3 })).status).to.equal(201)
    })

    it('leave nothing behind when the spawn fails: the version may still be used', async () => {
      await spawn({ agent_config: { name: 'm-9' } })
      const manifest = signed(manifestOf('m-9', 1))
      expect(codeOf(await spawn({ signed_manifest: manifest }))).to.deep.equal([409, 'conflict'])
      await gate.call('DELETE', '/api/v1/agents/m-9')
      expect((await spawn({ signed_manifest: manifest })).status).to.equal(201)
    })
  })

  describe('portcullis manifest', () => {
    const cli = (...args: string[]) =>
      spawnSync(process.execPath, ['bin/portcullis.js', 'manifest', ...args], {
        cwd: ROOT,
        encoding: 'utf8',
      })

    it('makes keys, signs and verifies; what it signs is believed', () => {
      const prefix = path.join(dir, 'cli')
      expect(cli('keygen', '--out', prefix).status).to.equal(0)
      expect(fs.statSync(`${prefix}.key.pem`).mode & 0o777).to.equal(0o600)
      expect(cli('keygen', '--out', prefix).status).to.equal(2)
      const file = path.join(dir, 'manifest.json')
      fs.writeFileSync(file, JSON.stringify(manifestOf('cli', 1)))
      const out = path.join(dir, 'signed.json')
      expect(cli('sign', file, '--key', `${prefix}.key.pem`, '--out', out).status).to.equal(0)
      const verify = (signedFile: string, key: string) =>
        cli('verify', signedFile, '--public-key', key)
      expect(verify(out, `${prefix}.pub.pem`)).to.include({ status: 0 })
      expect(verify(out, path.join(dir, 'trusted.pem')).status).to.equal(5)
      const forged = path.join(dir, 'forged.json')
      fs.writeFileSync(forged, fs.readFileSync(out, 'utf8').replace('"cli"', '"cly"'))
      const verdict = verify(forged, `${prefix}.pub.pem`)
      expect([verdict.status, verdict.stdout]).to.deep.equal([
        5,
        'bad_signature: "cly" version 1\n',
      ])
    })

    it('exits 2 for files that are not what they should be', () => {
      const file = path.join(dir, 'not.json')
      fs.writeFileSync(file, '{"name":"x"}')
      expect(cli('sign', file, '--key', path.join(dir, 'cli.key.pem')).status).to.equal(2)
      expect(cli('sign', path.join(dir, 'none'), '--key', 'x').status).to.equal(2)
      expect(cli('verify', file, '--public-key', path.join(dir, 'trusted.pem')).status).to.equal(2)
    })
  })
})

function parse(text: string): SignedManifest | undefined {
  try {
    return JSON.parse(text) as SignedManifest
  } catch {
    return undefined
  }
}
