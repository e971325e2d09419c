import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { ConfigError, parseConfig, readConfig } from '../src/config.ts'
import { scratch } from './support/scratch.ts'

function problems(env: Record<string, string>): readonly string[] {
  try {
    parseConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('the environment', () => {
  it('may be empty: every setting has its documented default', () => {
    const config = parseConfig({})
    expect(config).to.include({
      host: '127.0.0.1',
      port: 8787,
      databaseUrl: null,
      ratePerS: 5,
      logLevel: 'info',
      logFile: 'logs/app.log',
      demo: true,
      ticketingApiUrl: 'http://127.0.0.1:8788',
      publicServerUrl: null,
      approvalWebhookUrl: null,
      alertWebhookUrl: null,
      webhookSecret: null,
    })
    expect([config.dataDir, config.policyDir, config.plansDir]).to.deep.equal(
      ['.portcullis', 'policies', 'plans'].map((dir) => path.resolve(dir)),
    )
    expect([config.apiTokens, config.allowedOrigins]).to.deep.equal([[], []])
    expect(Object.isFrozen(config)).to.equal(true)
  })

  it('names where decision logs go, in what portions, and what they do not carry', () => {
    expect(parseConfig({}).decisionLog).to.equal(null)
    const url = 'https://logs.example/opa'
    expect(parseConfig({ DECISION_LOG_URL: url }).decisionLog).to.deep.equal({
      ...{ url, token: null, labels: {}, masks: [], batch: 100, uploadBytesMax: 32_768 },
      ...{ minDelayS: 5, maxDelayS: 10 },
    })
    const { decisionLog } = parseConfig({
      DECISION_LOG_URL: url,
      DECISION_LOG_LABELS: 'env=test, region=eu=1',
      DECISION_LOG_MASK: '/input/a~1b/*, /result',
    })
    expect(decisionLog?.labels).to.deep.equal({ env: 'test', region: 'eu=1' })
    expect(decisionLog?.masks).to.deep.equal(['/input/a~1b/*', '/result'])
    for (const [name, value] of [
      ['DECISION_LOG_URL', 'https://user:secret@logs.example'],
      ['DECISION_LOG_MASK', 'input/a'],
      ['DECISION_LOG_MASK', '/labels/id'],
      ['DECISION_LOG_MASK', '/input/a~2'],
      ['DECISION_LOG_LABELS', 'no-value'],
      ['DECISION_LOG_MAX_DELAY_S', '1'],
      ['DECISION_LOG_BATCH', '0'],
    ] as const) {
      const found = problems({ [name]: value })
      expect(found, `${name}=${value}`).to.have.length(1)
      expect(found[0]).to.include(name)
      expect(found[0]).not.to.include('secret')
    }
  })

  describe('of tokens for MCP', () => {
    const ok = {
      PUBLIC_SERVER_URL: 'https://gate.example/',
      MCP_OAUTH_ISSUERS: 'https://a.example, http://127.0.0.1:8080/realms/r',
    }

    it('is off unless an issuer is named, and has defaults then', () => {
      expect(parseConfig({ MCP_OAUTH_SCOPES: 'a' }).oauth).to.equal(null)
      expect(parseConfig(ok).oauth).to.deep.equal({
        issuers: ['https://a.example', 'http://127.0.0.1:8080/realms/r'],
        ...{ jwksUrl: null, baseUrl: 'https://gate.example', audiences: [], scopes: [] },
        ...{ agentClaim: 'client_id', agents: null, clockToleranceS: 30 },
        algorithms: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519'],
        types: ['at+jwt', 'jwt'],
      })
    })

    it('maps values of the claim to agents, of one issuer or of any', () => {
      const entries = 'https://a.example#x=one, a=b=two'
      const { oauth } = parseConfig({ ...ok, MCP_OAUTH_AGENTS: entries })
      expect([...(oauth?.agents ?? [])]).to.deep.equal([
        ['https://a.example#x', 'one'],
        ['a=b', 'two'],
      ])
    })

    it('refuses ways to keys that are not safe, and what cannot be meant', () => {
      for (const [name, value] of [
        ['MCP_OAUTH_ISSUERS', 'http://login.example'],
        ['MCP_OAUTH_ISSUERS', 'http://127.0.0.1.evil.example'],
        ['MCP_OAUTH_ISSUERS', 'https://user:secret@login.example'],
        ['MCP_OAUTH_ISSUERS', 'https://login.example?tenant=1'],
        ['MCP_OAUTH_ISSUERS', 'https://login.example#x'],
        ['MCP_OAUTH_ISSUERS', 'login.example'],
        ['MCP_OAUTH_JWKS_URL', 'https://a.example/jwks'],
        ['PUBLIC_SERVER_URL', 'http://gate.example'],
        ['PUBLIC_SERVER_URL', ''],
        ['MCP_OAUTH_ALGORITHMS', 'RS256,HS256'],
        ['MCP_OAUTH_ALGORITHMS', 'none'],
        ['MCP_OAUTH_SCOPES', 'mcp call'],
        ['MCP_OAUTH_SCOPES', 'a"b'],
        ['MCP_OAUTH_AGENTS', 'desk'],
        ['MCP_OAUTH_AGENTS', '=desk'],
        ['MCP_OAUTH_CLOCK_TOLERANCE_S', '301'],
      ] as const) {
        const found = problems({ ...ok, [name]: value })
        expect(found, `${name}=${value}`).to.have.length(1)
        expect(found[0]).to.include(name)
        expect(found[0]).not.to.include('secret@')
      }
    })
  })

  it('takes callbacks of access requests as they are written, and wants a secret for them', () => {
    const ok = {
      ACCESS_REQUEST_CALLBACKS: 'https://pep.example/cb?x=1, http://pep:8080/cb',
      WEBHOOK_SECRET: 's3cret-of-webhooks',
    }
    expect(parseConfig(ok).accessCallbacks).to.deep.equal([
      'https://pep.example/cb?x=1',
      'http://pep:8080/cb',
    ])
    expect(
      problems({ ACCESS_REQUEST_CALLBACKS: 'ftp://x', WEBHOOK_SECRET: 's3cret-of-webhooks' }),
    ).to.have.length(1)
    expect(problems({ ACCESS_REQUEST_CALLBACKS: 'https://pep.example/cb' })).to.have.length(1)
  })

  it('reports every mistake at once, each with the name of its variable', () => {
    const found = problems({
      PORT: '70000',
      DATABASE_URL: 'mysql://user:hidden@host/db',
      ALLOWED_ORIGINS: 'https://ok.example, https://bad.example/path',
      RATE_LIMIT_PER_S: '0',
      LOG_LEVEL: 'loud',
      DEMO: 'perhaps',
      TICKETING_API_URL: 'localhost',
      API_TOKENS: 'root:key-1',
      ALERT_WEBHOOK_URL: 'https://hooks.example',
    })
    for (const name of [
      'PORT',
      'DATABASE_URL',
      'ALLOWED_ORIGINS',
      'RATE_LIMIT_PER_S',
      'LOG_LEVEL',
      'DEMO',
      'TICKETING_API_URL',
      'API_TOKENS',
      'WEBHOOK_SECRET',
    ]) {
      expect(
        found.filter((one) => one.startsWith(name)),
        name,
      ).to.have.length(1)
    }
    expect(found.join()).to.not.include('hidden')
  })

  it('takes API_KEY as one more admin key', () => {
    const { apiTokens } = parseConfig({
      API_TOKENS: 'observer:eye:key-of-eye',
      API_KEY: 'key-of-admin',
    })
    expect(apiTokens).to.deep.equal([
      { role: 'observer', name: 'eye', key: 'key-of-eye' },
      { role: 'admin', name: 'token-2', key: 'key-of-admin' },
    ])
  })

  it('takes the model from an OpenAI key, a base URL, or a Groq key alone', () => {
    const model = (env: Record<string, string>) => parseConfig(env).model
    expect(model({})).to.equal(null)
    expect(model({ OPENAI_API_KEY: 'k' })).to.deep.equal({
      provider: 'openai',
      baseUrl: 'https://api.openai.com/v1',
      keyVariable: 'OPENAI_API_KEY',
    })
    const groq = {
      provider: 'groq',
      baseUrl: 'https://api.groq.com/openai/v1',
      keyVariable: 'GROQ_API_KEY',
    }
    expect(model({ GROQ_API_KEY: 'k' })).to.deep.equal(groq)
    expect(model({ GROQ_API_KEY: 'k', OPENAI_API_KEY: 'k' })?.provider).to.equal('openai')
    const baseUrl = 'http://127.0.0.1:11434/v1'
    const own = { provider: 'custom', baseUrl }
    expect(model({ OPENAI_BASE_URL: baseUrl })).to.deep.equal({ ...own, keyVariable: null })
    expect(model({ OPENAI_BASE_URL: baseUrl, GROQ_API_KEY: 'k' })).to.deep.equal({
      ...own,
      keyVariable: 'GROQ_API_KEY',
    })
  })

  const bad: [string, string, string][] = [
    ['OPENAI_BASE_URL', 'ftp://x.example', 'OPENAI_BASE_URL'],
    ['OPENAI_BASE_URL', 'https://user:secret@x.example/v1', 'OPENAI_BASE_URL'],
    ['OPENAI_BASE_URL', 'https://x.example/v1?key=a', 'OPENAI_BASE_URL'],
    ['PORT', '-1', 'PORT'],
    ['PORT', '80.5', 'PORT'],
    ['PORT', '0x50', 'PORT'],
    ['PORT', '8787abc', 'PORT'],
    ['RATE_LIMIT_PER_S', '1e3', 'RATE_LIMIT_PER_S'],
    ['RATE_LIMIT_PER_S', 'Infinity', 'RATE_LIMIT_PER_S'],
    ['ALLOWED_ORIGINS', '*', 'ALLOWED_ORIGINS'],
    ['ALLOWED_ORIGINS', 'https://app.example/', 'ALLOWED_ORIGINS'],
    ['ALLOWED_ORIGINS', 'app.example', 'ALLOWED_ORIGINS'],
    ['TRUSTED_PROXIES', '10.0.0.0/8, proxy.internal', 'TRUSTED_PROXIES'],
    ['TRUSTED_PROXIES', '10.0.0.0/40', 'TRUSTED_PROXIES'],
    ['STREAMS_PER_KEY', '0', 'STREAMS_PER_KEY'],
    ['STREAMS_MAX', 'many', 'STREAMS_MAX'],
    ['PUBLIC_SERVER_URL', 'ftp://x.example', 'PUBLIC_SERVER_URL'],
    ['API_TOKENS', 'abc', 'API_TOKENS'],
    ['API_TOKENS', 'agent:no-name', 'API_TOKENS'],
    ['API_TOKENS', 'observer:x:', 'API_TOKENS'],
    ['API_TOKENS', Array.from({ length: 101 }, (_, n) => `key-${n}`).join(), 'API_TOKENS'],
  ]
  for (const [name, value, about] of bad) {
    it(`refuses ${name}=${value.slice(0, 30)}`, () => {
      const [first = '', ...rest] = problems({ [name]: value })
      expect([first.startsWith(about), rest]).to.deep.equal([true, []])
    })
  }

  it('never repeats a secret in what it reports', () => {
    const secret = 'sesame-open'
    for (const env of [
      { DATABASE_URL: `http://user:${secret}@host` },
      { API_TOKENS: `root:name:${secret}` },
      { ALERT_WEBHOOK_URL: `ftp://user:${secret}@host` },
    ]) {
      expect(problems(env as Record<string, string>).join()).to.not.include(secret)
      expect(problems(env as Record<string, string>)).to.have.length(1)
    }
  })

  it('takes keys as key, role:key and role:name:key, colons in the key included', () => {
    const { apiTokens } = parseConfig({ API_TOKENS: 'bare-key, observer:k-two ,agent:bot:a:b:c' })
    expect(apiTokens).to.deep.equal([
      { role: 'admin', name: 'token-1', key: 'bare-key' },
      { role: 'observer', name: 'token-2', key: 'k-two' },
      { role: 'agent', name: 'bot', key: 'a:b:c' },
    ])
  })

  it('takes blanks around values, empty ones as absent, and flags in their spellings', () => {
    expect(parseConfig({ PORT: ' 0 ', HOST: ' ::1 ' })).to.include({ port: 0, host: '::1' })
    expect(parseConfig({ PORT: '', LOG_LEVEL: '', DATABASE_URL: '' })).to.include({
      port: 8787,
      logLevel: 'info',
      databaseUrl: null,
    })
    for (const on of ['on', 'TRUE', '1', 'yes'])
      expect(parseConfig({ DEMO: on }).demo).to.equal(true)
    for (const off of ['off', 'False', '0', 'no']) {
      expect(parseConfig({ DEMO: off }).demo).to.equal(false)
    }
    expect(parseConfig({ LOG_FILE: '' }).logFile).to.equal(null)
  })

  it('leaves the demo out in production, unless it is asked for', () => {
    expect(parseConfig({ NODE_ENV: 'production' }).demo).to.equal(false)
    expect(parseConfig({ NODE_ENV: 'production', DEMO: 'on' }).demo).to.equal(true)
  })

  it('empty values fall back to the default rather than to nothing', () => {
    const config = parseConfig({ HOST: '', DATA_DIR: '', POLICY_DIR: '', PLANS_DIR: '' })
    expect(config.host).to.equal('127.0.0.1')
    expect([config.dataDir, config.policyDir, config.plansDir]).to.deep.equal(
      ['.portcullis', 'policies', 'plans'].map((dir) => path.resolve(dir)),
    )
  })

  it('wins over the .env file of the folder', () => {
    const root = scratch('config')
    fs.writeFileSync(path.join(root, '.env'), 'PORT=1234\nHOST="0.0.0.0" # all\nPATH=/nowhere\n')
    const config = readConfig(root)
    expect([config.port, config.host]).to.deep.equal([1234, '0.0.0.0'])
    expect(config.env['PATH']).to.equal(process.env['PATH'])
    expect(Object.isFrozen(config.env)).to.equal(true)
  })
})
