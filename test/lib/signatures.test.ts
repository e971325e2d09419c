import { expect } from 'chai'
import { generateKeyPairSync } from 'node:crypto'
import { bytesOfBase64 } from '../../src/lib/base64.ts'
import { signCheckpoint, verifyCheckpoint } from '../../src/lib/checkpoint.ts'
import { signManifest, verifyManifest } from '../../src/lib/manifest.ts'
import { Seal } from '../../src/lib/seal.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Texts that Node's lenient reader takes for the same bytes. */
function spellings(text: string): string[] {
  const bytes = Buffer.from(text, 'base64')
  const at = text.replace(/=+$/, '').length - 1
  const ends = ALPHABET.split('').map((char) => text.slice(0, at) + char + text.slice(at + 1))
  const loose = [text.replace(/=+$/, ''), `${text}=`, ` ${text}`, `${text}\n`]
  const url = text.replaceAll('+', '-').replaceAll('/', '_')
  return [...ends, ...loose, url].filter(
    (one) => one !== text && Buffer.from(one, 'base64').equals(bytes),
  )
}

describe('signatures', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')

  it('of manifests have one spelling: no other base64 text of the same bytes verifies', () => {
    const signed = signManifest({ name: 'a', manifest_version: 1 }, privateKey)
    expect(verifyManifest(signed, [publicKey])).to.equal('valid')
    const others = spellings(signed.signature)
    expect(others.length).to.be.greaterThan(10)
    for (const signature of others) {
      expect(verifyManifest({ ...signed, signature }, [publicKey])).to.equal('bad_signature')
    }
  })

  it('of checkpoints and archives have one spelling too', () => {
    for (const kind of ['checkpoint', 'archive'] as const) {
      const signed = signCheckpoint({ size: 7n, head: 'ab', at: '2026-01-01' }, privateKey, kind)
      expect(verifyCheckpoint(signed, publicKey, kind)).to.equal(true)
      for (const signature of spellings(signed.signature)) {
        expect(verifyCheckpoint({ ...signed, signature }, publicKey, kind)).to.equal(false)
      }
    }
  })

  it('sealed answers open in one spelling', () => {
    const seal = new Seal('secret', 'salt')
    const sealed = seal.close('x') // 29 bytes: the last group has padding
    expect(seal.open(sealed)).to.equal('x')
    for (const other of spellings(sealed)) expect(() => seal.open(other), other).to.throw()
  })

  it('base64 is read strictly', () => {
    expect(bytesOfBase64('')).to.deep.equal(Buffer.alloc(0))
    expect(bytesOfBase64('YQ==')).to.deep.equal(Buffer.from('a'))
    for (const text of ['YR==', 'YQ', 'YQ=', 'YQ===', 'Y Q==', 'YQ==\n', 'Y', '====', 'YQ==YQ==']) {
      expect(bytesOfBase64(text), JSON.stringify(text)).to.equal(undefined)
    }
  })
})
