// What each client does: the same calls straight to the server and through the gate, of which only base URL and key differ.
import { Octokit } from '@octokit/rest'
import { WebClient } from '@slack/web-api'
import axios from 'axios'
import { got } from 'got'
import ky from 'ky'
import nodeFetch, { FormData as NodeFormData, File as NodeFile } from 'node-fetch'
import OpenAI from 'openai'
import { Stripe } from 'stripe'
import { request } from 'undici'

const QUERY = { tag: ['a b', 'c&d'], limit: 5, note: 'ä+/%' }
const search = () => {
  const params = new URLSearchParams()
  for (const tag of QUERY.tag) params.append('tag', tag)
  params.append('limit', String(QUERY.limit))
  params.append('note', QUERY.note)
  return params
}
const file = () => new File([Buffer.from('file of ä')], 'näme.txt', { type: 'text/plain' })

/** `at`: where the API is; `key`: what the client takes for its key. */
export const CLIENTS = {
  async axios({ at, key }) {
    const client = axios.create({ baseURL: at, headers: { authorization: `Bearer ${key}` } })
    await client.get('/items', { params: search() })
    await client.patch('/items/i 1', { note: 'ä', n: 1.5 })
    await client.post('/form', new URLSearchParams({ amount: '5', note: 'a b&c' }))
    const form = new FormData()
    form.append('title', 'ä')
    form.append('file', file())
    await client.post('/upload', form)
  },
  async got({ at, key }) {
    const client = got.extend({ prefixUrl: at, headers: { authorization: `Bearer ${key}` }, retry: { limit: 0 } })
    await client.get('items', { searchParams: search() }).json()
    await client.patch('items/i%201', { json: { note: 'ä' } }).json()
    await client.post('form', { form: { amount: 5, note: 'a b&c' } }).json()
  },
  async ky({ at, key }) {
    const client = ky.create({ prefixUrl: at, headers: { authorization: `Bearer ${key}` }, retry: 0 })
    await client.get('items', { searchParams: search() }).json()
    await client.patch('items/i%201', { json: { note: 'ä' } }).json()
    await client.post('form', { body: new URLSearchParams({ amount: '5', note: 'a b&c' }) }).json()
  },
  async undici({ at, key }) {
    const headers = { authorization: `Bearer ${key}` }
    const ask = async (path, options = {}) => {
      const { statusCode, body } = await request(`${at}${path}`, { ...options, headers: { ...headers, ...options.headers } })
      await body.dump()
      if (statusCode !== 200) throw new Error(`answered ${statusCode}`)
    }
    await ask(`/items?${search()}`)
    await ask('/items/i%201', { method: 'PATCH', body: '{"note":"ä"}', headers: { 'content-type': 'application/json' } })
  },
  async 'node-fetch'({ at, key }) {
    const headers = { authorization: `Bearer ${key}` }
    const ask = async (path, options = {}) => {
      const answer = await nodeFetch(`${at}${path}`, { ...options, headers: { ...headers, ...options.headers } })
      if (!answer.ok) throw new Error(`answered ${answer.status}: ${await answer.text()}`)
    }
    await ask(`/items?${search()}`)
    await ask('/form', { method: 'POST', body: new URLSearchParams({ amount: '5' }) })
    const form = new NodeFormData()
    form.append('title', 'ä')
    form.append('file', new NodeFile([Buffer.from('file of ä')], 'näme.txt', { type: 'text/plain' }))
    await ask('/upload', { method: 'POST', body: form })
  },
  async stripe({ at, key }) {
    const url = new URL(at)
    const client = new Stripe(key, { host: url.hostname, port: url.port, protocol: 'http', maxNetworkRetries: 0, telemetry: false })
    // Its paths begin with /v1, so the gate's prefix goes where its base path is set.
    const prefix = url.pathname.replace(/\/$/, '')
    const call = (method, path, params) => client.rawRequest(method, `${prefix}/v1${path}`, params)
    await call('POST', '/customers', { email: 'a@b.example', metadata: { order: '1 & 2' }, expand: ['sources', 'subscriptions'] })
    await call('POST', '/subscriptions', { customer: 'cus_1', items: [{ price: 'p_1', quantity: 2 }, { price: 'p_2' }] })
    await call('GET', '/charges?limit=3&created%5Bgte%5D=7')
  },
  async '@slack/web-api'({ at, key }) {
    const client = new WebClient(key, { slackApiUrl: `${at}/api/`, retryConfig: { retries: 0 } })
    await client.chat.postMessage({ channel: 'C1', text: 'hello ä & you', blocks: [{ type: 'section', text: { type: 'plain_text', text: 'x' } }] })
    await client.conversations.list({ limit: 5, types: 'public_channel,private_channel' })
  },
  async '@octokit/rest'({ at, key }) {
    const client = new Octokit({ baseUrl: at, auth: key, log: { debug() {}, info() {}, warn() {}, error() {} } })
    await client.rest.issues.create({ owner: 'o', repo: 'r.js', title: 'ä', labels: ['a', 'b'] })
    await client.rest.issues.listForRepo({ owner: 'o', repo: 'r.js', state: 'open', per_page: 5, labels: 'a,b' })
  },
  async openai({ at, key }) {
    const client = new OpenAI({ apiKey: key, baseURL: `${at}/openai/v1`, maxRetries: 0 })
    await client.embeddings.create({ model: 'm', input: ['ä', 'b'], encoding_format: 'float' })
    await client.files.create({ file: file(), purpose: 'user_data' })
    const stream = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }], stream: true })
    let said = ''
    for await (const part of stream) said += part.choices[0]?.delta?.content ?? ''
    if (said !== 'hello') throw new Error(`the stream said ${said}`)
  },
}
