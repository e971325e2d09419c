import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { AccessTokens } from '../../src/inquiries/access-requests/tokens.ts'

const keyFor = (secret: string) => (purpose: string) =>
  createHash('sha256').update(`${secret} ${purpose}`).digest()
const URL = 'https://gate.example/pdp'
const CLAIMS = { evaluation_id: 'dec_1', jti: 'dec_1' }

describe('tokens of access requests (section 21.1.4, Binding Token Integrity)', () => {
  const tokens = new AccessTokens(keyFor('a'), URL)
  const token = tokens.sign('binding', CLAIMS)

  it('are read by any replica, which have the same secret', () => {
    const claims = new AccessTokens(keyFor('a'), URL).read('binding', token)
    expect(claims).to.deep.include({ ...CLAIMS, iss: URL, aud: `${URL}/access/v1/requests` })
  })

  it('MUST NOT be of another issuer or audience, though the key is the same', () => {
    for (const url of ['https://gate.example', 'https://gate.example/other', null]) {
      expect(new AccessTokens(keyFor('a'), url).read('binding', token), String(url)).to.equal(
        undefined,
      )
    }
  })

  it('MUST NOT be of another key, or of another kind', () => {
    expect(new AccessTokens(keyFor('b'), URL).read('binding', token)).to.equal(undefined)
    expect(tokens.read('approval', token)).to.equal(undefined)
  })

  it('are one text: with any character changed, left out or added they are none', () => {
    for (let at = 0; at < token.length; at++) {
      const [before, after] = [token.slice(0, at), token.slice(at + 1)]
      const other = token[at] === 'A' ? 'B' : 'A'
      for (const changed of [
        `${before}${other}${after}`,
        before + after,
        `${before}A${token.slice(at)}`,
      ]) {
        if (changed === token) continue
        expect(tokens.read('binding', changed), String(at)).to.equal(undefined)
      }
    }
  })

  it('are refused in any other form', () => {
    const [header, payload, signature] = token.split('.')
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    for (const other of [
      ...[undefined, null, 7, {}, '', '..', `${header}.${payload}`, `${header}.${payload}.`],
      ...[
        `${none}.${payload}.${signature}`,
        `${token}.`,
        `${token}=`,
        ` ${token}`,
        'x'.repeat(200_000),
      ],
    ]) {
      expect(tokens.read('binding', other)).to.equal(undefined)
    }
  })
})
